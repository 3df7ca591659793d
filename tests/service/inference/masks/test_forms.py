"""Every form holds the same mask, and none is read as the mask of another image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from service.inference.masks.forms import (
    CONVERTERS,
    describe_masks,
    draw_labelmap,
    form_to_mask,
    forms_to_runs,
    runs_to_crops,
)
from service.inference.masks.grid import place_windows
from service.inference.masks.rle import decode_rle
from service.inference.masks.runs import Runs, find_runs
from service.types import Instances, Mask, MaskForm, MaskFormat, Placement, Polygon, Rle, RleCrop, Size
from tests.service.inference.masks.raster import rasterise

Scene = tuple[Instances, Placement]

IMAGE = Size(4, 6)


def place_crop(crop: RleCrop, image: Size) -> Mask:
    """The crop as pycocotools decodes it, at its offset."""
    mask = np.zeros((image.height, image.width), bool)
    decoded = coco.decode(crop.rle.to_coco())
    mask[crop.y : crop.y + decoded.shape[0], crop.x : crop.x + decoded.shape[1]] = decoded
    return mask


@pytest.mark.parametrize("masks", CONVERTERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_form_comes_back_as_the_rasterised_mask(
    data: st.DataObject, scenes: st.SearchStrategy[Scene], masks: MaskFormat
) -> None:
    instances, placement = data.draw(scenes)
    described = describe_masks(instances, placement, masks)
    expected = rasterise(instances, placement)
    assert [area for _, area in described] == expected.sum(axis=(1, 2)).tolist()
    for (form, _), mask in zip(described, expected, strict=True):
        assert form is not None
        assert np.array_equal(form_to_mask(form, placement.image), mask)


# pycocotools 2.0.11 speaks numpy 1's array protocol.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_crop_at_its_offset_is_the_mask_of_the_full_rle(
    data: st.DataObject, scenes: st.SearchStrategy[Scene]
) -> None:
    instances, placement = data.draw(scenes)
    crops = describe_masks(instances, placement, "rle_crop")
    rles = describe_masks(instances, placement, "rle")
    for (crop, _), (rle, _) in zip(crops, rles, strict=True):
        assert isinstance(crop, RleCrop)
        assert isinstance(rle, Rle)
        assert np.array_equal(place_crop(crop, placement.image), coco.decode(rle.to_coco()))


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_without_masks_there_is_nothing_for_each(
    data: st.DataObject, scenes: st.SearchStrategy[Scene]
) -> None:
    instances, placement = data.draw(scenes)
    assert list(describe_masks(instances, placement, "none")) == [(None, None)] * len(instances)


def test_masks_of_several_forms_are_runs_in_their_order() -> None:
    square = Polygon(((1, 1, 3, 1, 3, 3, 1, 3),))
    forms: list[MaskForm] = [Rle(IMAGE, "0h0"), RleCrop(Rle(Size(2, 2), "04"), 4, 0), square, Polygon(())]
    runs = forms_to_runs(forms, IMAGE)
    assert runs.areas().tolist() == [24, 4, 4, 0]
    assert len(forms_to_runs([], IMAGE)) == 0


def test_a_hole_is_outside() -> None:
    frame = Polygon(((0, 0, 4, 0, 4, 4, 0, 4), (1, 1, 3, 1, 3, 3, 1, 3)))
    mask = form_to_mask(frame, IMAGE)
    assert mask.sum() == 12
    assert not mask[1:3, 1:3].any()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (Rle(Size(6, 4), "0h0"), "the mask is of"),
        (Rle(IMAGE, "04"), "the counts cover 4 pixels"),
        (RleCrop(Rle(Size(2, 2), "04"), 5, 0), "does not lie in"),
        (RleCrop(Rle(Size(2, 2), "04"), 0, 3), "does not lie in"),
        (RleCrop(Rle(Size(2, 2), "04"), -1, 0), "does not lie in"),
        (RleCrop(Rle(Size(2, 2), "05"), 0, 0), "the counts cover 5 pixels"),
        (Polygon(((0, 0, 7, 0, 7, 1, 0, 1),)), "the corner 7, 0 of a polygon is not in"),
        (Polygon(((0, -1, 2, -1, 2, 1, 0, 1),)), "the corner 0, -1 of a polygon is not in"),
        (Polygon(((0, 0, 2),)), "zip"),
    ],
)
def test_a_mask_that_is_not_of_the_image_is_refused(form: MaskForm, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        form_to_mask(form, IMAGE)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_crops_are_the_windows_of_the_masks(data: st.DataObject, scenes: st.SearchStrategy[Scene]) -> None:
    instances, placement = data.draw(scenes)
    windows = place_windows(instances, placement)
    crops = runs_to_crops(find_runs(instances, placement), windows)
    masks = rasterise(instances, placement)
    for crop, mask, (x1, y1, x2, y2) in zip(crops, masks, windows, strict=True):
        assert (crop.x, crop.y) == (x1, y1)
        size = crop.rle.size
        assert (size.height, size.width) == (max(y2 - y1, 1), max(x2 - x1, 1))
        assert (decode_rle(crop.rle) == mask[y1 : y1 + size.height, x1 : x1 + size.width]).all()


def test_columns_that_touch_in_the_window_are_one_run() -> None:
    runs = Runs(Size(10, 10), np.array([[23, 27], [33, 37]]), np.array([0, 2]))
    (crop,) = runs_to_crops(runs, np.array([[2, 3, 4, 7]]))
    assert crop.rle.counts == "08"
    assert crop.rle.size == Size(4, 2)


def test_an_empty_window_gives_an_empty_pixel() -> None:
    runs = Runs(Size(10, 10), np.zeros((0, 2), np.int64), np.array([0, 0]))
    (crop,) = runs_to_crops(runs, np.zeros((1, 4), np.int64))
    assert decode_rle(crop.rle).tolist() == [[False]]


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
