"""COCO's text for counts, against pycocotools."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pycocotools import mask as coco

from service.inference.masks.counts import decode_counts, encode_bounds

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
