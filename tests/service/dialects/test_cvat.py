"""Shapes for CVAT, taken by its own SDK where it is installed."""

import json
from typing import Any

import numpy as np
import pytest

from service.dialects.cvat import render_shapes
from service.types import Answer, MaskFormat, Options
from tests.fakes import FakeModel, encode_picture


def find_shape(masks: MaskFormat) -> dict[str, Any]:
    found = FakeModel().segment(encode_picture(60, 30), Options(masks=masks))
    (shape,) = json.loads(render_shapes(Answer(found, queue_ms=0)))
    assert isinstance(shape, dict)
    return shape


def test_the_sdk_takes_the_polygon_and_the_mask() -> None:
    models = pytest.importorskip("cvat_sdk.models")
    masks = pytest.importorskip("cvat_sdk.masks")
    shape = find_shape("rle")
    polygon = models.LabeledShapeRequest(
        frame=0,
        label_id=1,
        type=models.ShapeType("polygon"),
        points=[float(value) for value in shape["points"]],
    )
    assert len(polygon.points) == 8
    *flat, left, top, right, bottom = shape["mask"]
    bitmap = np.zeros((30, 60), bool)
    bitmap[top : bottom + 1, left : right + 1] = np.array(flat, bool).reshape(bottom + 1 - top, -1)
    encoded = masks.encode_mask(bitmap, [left, top, right + 1, bottom + 1])
    assert encoded == [0, 200, 20, 10, 39, 19]


def test_without_a_mask_a_shape_is_a_rectangle() -> None:
    shape = find_shape("none")
    assert (shape["type"], shape["points"]) == ("rectangle", [20, 10, 40, 20])
