"""Instance masks as COCO's compressed run lengths, byte-identical to pycocotools."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.inference.masks.counts import decode_counts, encode_bounds
from service.inference.masks.runs import Runs, cancel_pairs, find_runs
from service.types import Instances, Ints, Mask, Placement, Rle, Size


@dataclass(frozen=True, slots=True, eq=False)
class EncodedMasks:
    """One mask per instance, in their order; areas are int64 [N], in pixels."""

    rles: tuple[Rle, ...]
    areas: Ints


def encode_masks(instances: Instances, placement: Placement) -> EncodedMasks:
    """The masks of all instances over the whole image."""
    runs = find_runs(instances, placement)
    return EncodedMasks(runs_to_rles(runs), runs.areas())


def runs_to_rles(runs: Runs) -> tuple[Rle, ...]:
    """The masks as COCO's text, over the whole image."""
    pixels = np.full(len(runs), runs.image.pixels)
    return tuple(Rle(runs.image, text) for text in encode_bounds(runs.bounds, runs.splits, pixels))


def rles_to_runs(rles: Sequence[Rle], image: Size) -> Runs:
    """The masks as runs; raises ValueError where one is not of this image, or its counts do not fill it."""
    bounds = [_rle_to_bounds(rle, image) for rle in rles]
    splits = np.cumsum([0, *map(len, bounds)])
    return Runs(image, np.concatenate([np.zeros((0, 2), np.int64), *bounds]), splits)


def decode_rle(rle: Rle) -> Mask:
    """The mask: bool [H, W]; raises ValueError when the counts do not fill the image."""
    mask = np.zeros(rle.size.pixels, bool)
    for start, end in _rle_to_bounds(rle, rle.size).tolist():
        mask[start:end] = True
    return mask.reshape(rle.size.width, rle.size.height).T


def _rle_to_bounds(rle: Rle, image: Size) -> Ints:
    """Start and end of each run: int64 [R, 2]."""
    if rle.size != image:
        raise ValueError(f"the mask is of {rle.size}, the image is {image}")
    counts = decode_counts(rle.counts)
    if (counts < 0).any() or counts.sum() != image.pixels:
        raise ValueError(f"the counts cover {counts.sum()} pixels of {image.height} x {image.width}")
    toggles = np.cumsum(counts)[: len(counts) // 2 * 2]
    return cancel_pairs(toggles).reshape(-1, 2)  # others may write runs of no pixels
