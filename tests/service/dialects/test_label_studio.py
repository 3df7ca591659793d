"""Regions for Label Studio, read by its own packages where they are installed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.dialects.label_studio import Control, mask_to_brush, parse_config, segmentation_to_prediction
from service.errors import InvalidOption
from service.types import Mask, Options
from tests.fakes import FakeModel, encode_picture

BODY = '<Label value="cat"/><Label value="bird" background="red"/>'


def write_config(tag: str) -> str:
    return f'<View><Image name="img" value="$photo"/><{tag} name="tag" toName="img">{BODY}</{tag}></View>'


def only_region(prediction: dict[str, Any]) -> dict[str, Any]:
    (region,) = prediction["result"]
    assert isinstance(region, dict)
    return region


def unpack_brush(data: list[int]) -> list[int]:
    """The values of @thi.ng/rle-pack, by its description."""
    bits = "".join(f"{byte:08b}" for byte in data)
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, width = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < total:
        repeated = read(1)
        length = read(sizes[read(2)]) + 1
        values += [read(width)] * length if repeated else [read(width) for _ in range(length)]
    return values


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_a_brush_unpacks_to_the_mask(pixels: list[bool]) -> None:
    mask: Mask = np.array(pixels, bool)[None]
    assert unpack_brush(mask_to_brush(mask)) == [255 if inside else 0 for inside in pixels for _ in range(4)]


def test_a_brush_of_long_runs_unpacks_to_the_mask() -> None:
    mask = np.zeros((300, 200), bool)
    mask[100:220] = True
    values = np.array(unpack_brush(mask_to_brush(mask))).reshape(300, 200, 4)
    assert np.array_equal(values[..., 3] == 255, mask)


@pytest.mark.parametrize("tag", ["BrushLabels", "PolygonLabels", "RectangleLabels"])
def test_label_studio_accepts_the_prediction(tag: str) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    config = write_config(tag)
    found = FakeModel().segment(encode_picture(60, 30), Options())
    prediction = segmentation_to_prediction(found, parse_config(config))
    assert interface.LabelInterface(config).validate_prediction(prediction, return_errors=True) == []
    if tag == "BrushLabels":
        region = only_region(prediction)
        pixels = brush.decode_rle(region["value"]["rle"]).reshape(30, 60, 4)
        assert np.array_equal(pixels[..., 3] == 255, found.masks[0])


def test_regions_are_in_percent_of_the_picture_and_only_of_labels_that_the_project_knows() -> None:
    found = FakeModel().segment(encode_picture(60, 30), Options())
    dog = replace(found.instances[0], label="dog")
    both = replace(found, instances=(*found.instances, dog))
    prediction = segmentation_to_prediction(both, parse_config(write_config("PolygonLabels")))
    region = only_region(prediction)
    assert (region["from_name"], region["to_name"], region["type"]) == ("tag", "img", "polygonlabels")
    corners = sorted((round(x, 2), round(y, 2)) for x, y in region["value"]["points"])
    assert corners == [(33.33, 33.33), (33.33, 66.67), (66.67, 33.33), (66.67, 66.67)]


def test_the_first_tag_for_a_picture_is_taken() -> None:
    text = write_config("BrushLabels")
    assert parse_config(text) == Control("brushlabels", "tag", "img", "photo", frozenset({"cat", "bird"}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("<View>", "is no XML"),
        ("<View/>", "has none of BrushLabels"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><View/>', "document type"),
        ('<View><Text name="t" value="$t"/><BrushLabels name="b" toName="t"/></View>', "has none of"),
    ],
)
def test_a_project_without_a_place_for_objects_is_refused(config: str, message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        parse_config(config)
