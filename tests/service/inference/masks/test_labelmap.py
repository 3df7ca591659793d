"""Label maps: one number per pixel, the best instance on top."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.inference.masks.labelmap import draw_labelmap
from service.inference.masks.runs import Runs, find_runs
from service.types import Instances, Placement, Size
from tests.service.inference.masks.raster import rasterise

Scene = tuple[Instances, Placement]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_every_pixel_has_the_number_of_the_first_mask_on_it(
    data: st.DataObject, scenes: st.SearchStrategy[Scene]
) -> None:
    scene = data.draw(scenes)
    expected = np.zeros((scene[1].image.height, scene[1].image.width), np.uint16)
    for number, mask in reversed(list(enumerate(rasterise(*scene), start=1))):
        expected[mask] = number
    labels = draw_labelmap(find_runs(*scene))
    assert labels.dtype == np.uint16
    assert (labels == expected).all()


def test_more_masks_than_16_bits_can_number_are_refused() -> None:
    nothing = Runs(Size(1, 1), np.zeros((0, 2), np.int64), np.zeros(65_537, np.int64))
    with pytest.raises(ValueError, match="at most 65535"):
        draw_labelmap(nothing)
