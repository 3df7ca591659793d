"""Masks as run lengths, against pycocotools on the rasterised masks."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from service.inference.masks.rle import (
    decode_counts,
    decode_rle,
    encode_bounds,
    encode_masks,
    rles_to_runs,
    runs_to_rles,
)
from service.inference.masks.runs import find_runs
from service.types import Instances, Placement, Rle, Size
from tests.service.inference.masks.raster import rasterise

Scene = tuple[Instances, Placement]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_strings_are_those_of_pycocotools_on_the_rasterised_masks(
    data: st.DataObject, scenes: st.SearchStrategy[Scene]
) -> None:
    scene = data.draw(scenes)
    encoded, masks = encode_masks(*scene), rasterise(*scene)
    expected = [coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode() for mask in masks]
    assert [rle.counts for rle in encoded.rles] == expected
    assert encoded.areas.tolist() == masks.sum(axis=(1, 2)).tolist()
    assert all((decode_rle(rle) == mask).all() for rle, mask in zip(encoded.rles, masks, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_large_smooth_objects_are_encoded_exactly_too(seed: int) -> None:
    random = np.random.default_rng(seed)
    small = random.normal(size=(3, 6, 8)).astype(np.float32)
    fields = np.stack([cv2.resize(field, (40, 30), interpolation=cv2.INTER_CUBIC) for field in small])
    boxes = np.array([[0, 0, 160, 120], [13.2, 40, 90, 131], [100, -5, 101, 60]], np.float32)
    instances = Instances(np.zeros(3, np.int64), np.ones(3, np.float32), boxes, fields)
    placement = Placement(Size(467, 700), Size(120, 160), Size(107, 160))
    masks = rasterise(instances, placement)
    expected = [coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode() for mask in masks]
    assert [rle.counts for rle in encode_masks(instances, placement).rles] == expected


@pytest.mark.parametrize("counts", ["52", "5", "", "o", "5\n2", "é", "O11", "52P"])
def test_counts_that_do_not_make_a_mask_are_refused(counts: str) -> None:
    with pytest.raises(ValueError, match="counts"):
        decode_rle(Rle(Size(10, 10), counts))


def test_masks_of_another_image_are_refused() -> None:
    with pytest.raises(ValueError, match="the image is"):
        rles_to_runs([Rle(Size(3, 3), "9")], Size(4, 4))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_runs_come_back_from_their_text(data: st.DataObject, scenes: st.SearchStrategy[Scene]) -> None:
    runs = find_runs(*data.draw(scenes))
    again = rles_to_runs(runs_to_rles(runs), runs.image)
    assert again.bounds.tolist() == runs.bounds.tolist()
    assert again.splits.tolist() == runs.splits.tolist()


def test_runs_of_no_pixels_in_foreign_text_are_joined() -> None:
    foreign = coco.frPyObjects({"size": [3, 3], "counts": [1, 2, 0, 3, 1, 0, 2]}, 3, 3)["counts"].decode()
    assert rles_to_runs([Rle(Size(3, 3), foreign)], Size(3, 3)).bounds.tolist() == [[1, 6]]


LENGTHS = st.one_of(st.integers(1, 40), st.integers(1, 2_000), st.integers(1, 40_000_000))


def to_bounds(lengths: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Gaps and runs in turn, as starts and ends."""
    return np.cumsum(lengths, dtype=np.int64)[: len(lengths) // 2 * 2].reshape(-1, 2)


def coco_text(lengths: list[int]) -> str:
    compressed = coco.frPyObjects({"size": [sum(lengths), 1], "counts": lengths}, sum(lengths), 1)
    text: bytes = compressed["counts"]
    return text.decode()


@given(st.lists(LENGTHS, min_size=1, max_size=9))
@example([15, 16, 511, 512, 16383, 16384, 524287, 524288])
@example([1, 17, 1, 1, 513, 2, 1, 16385, 1])
def test_text_is_that_of_pycocotools(lengths: list[int]) -> None:
    bounds = to_bounds(lengths)
    (text,) = encode_bounds(bounds, np.array([0, len(bounds)]), np.array([sum(lengths)]))
    assert text == coco_text(lengths)
    assert decode_counts(text).tolist() == lengths


@given(st.lists(st.lists(LENGTHS, max_size=7), max_size=5))
def test_many_masks_are_each_encoded_as_if_alone(masks: list[list[int]]) -> None:
    bounds = [to_bounds(lengths) for lengths in masks]
    pixels = np.array([sum(lengths) + 5 for lengths in masks], np.int64)
    splits = np.cumsum([0, *map(len, bounds)])
    together = encode_bounds(np.concatenate([np.zeros((0, 2), np.int64), *bounds]), splits, pixels)
    alone = [
        encode_bounds(one, np.array([0, len(one)]), size[None])[0]
        for one, size in zip(bounds, pixels, strict=True)
    ]
    assert together == alone


@pytest.mark.parametrize("text", ["5\n2", "é", "日", "p", "52P", "P" * 13 + "0"])
def test_text_that_is_not_cocos_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="counts"):
        decode_counts(text)


def test_no_text_is_no_counts() -> None:
    assert decode_counts("").tolist() == []
