import dataclasses
from typing import Any

import numpy as np
import pytest

from service.types import BackendInfo, Instances, Rle, Segmentation, Size, Timings


def make_instances(**changes: Any) -> Instances:
    arrays: dict[str, Any] = {
        "classes": np.zeros(2, np.int64),
        "scores": np.ones(2, np.float32),
        "boxes_xyxy_canvas": np.zeros((2, 4), np.float32),
        "mask_fields": np.zeros((2, 5, 6), np.float32),
    }
    return Instances(**(arrays | changes))


@pytest.mark.parametrize(("height", "width"), [(0, 1), (1, 0), (-1, 5)])
def test_a_size_has_at_least_one_pixel(height: int, width: int) -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        Size(height, width)


def test_instances_count_their_scores() -> None:
    assert len(make_instances()) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": np.zeros(3, np.int64)}, "classes has shape"),
        ({"scores": np.zeros(3, np.float32)}, "classes has shape"),
        ({"boxes_xyxy_canvas": np.zeros((2, 5), np.float32)}, "boxes_xyxy_canvas has shape"),
        ({"mask_fields": np.zeros((3, 5, 6), np.float32)}, "mask_fields has shape"),
        ({"mask_fields": np.zeros((2, 30), np.float32)}, "mask_fields has shape"),
    ],
)
def test_instances_whose_arrays_disagree_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_instances(**changes)


@pytest.mark.parametrize("name", ["classes", "scores", "boxes_xyxy_canvas", "mask_fields"])
def test_the_arrays_of_instances_are_read_only(name: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        getattr(make_instances(), name)[...] = 1


def test_a_rle_turns_into_what_pycocotools_takes() -> None:
    assert Rle(Size(3, 5), "?").to_coco() == {"size": [3, 5], "counts": "?"}


def test_the_stages_add_up() -> None:
    assert Timings(decode=1, prepare=2, infer=4, postprocess=8, masks=16).total == 31
    assert len(dataclasses.fields(Timings)) == 5  # a stage more has to be added up, too


def test_answers_are_equal_whatever_time_they_took() -> None:
    info = BackendInfo("onnxruntime", "1", "fp32", 1, (), ())
    slow, fast = (Segmentation(Size(1, 1), (), "toy", "1", info, Timings(infer=time)) for time in (9.0, 1.0))
    assert slow == fast
