"""Masks as COCO's compressed run lengths, byte-identical to pycocotools.

COCO's text holds the counts of pixels outside and inside in turn. From the fourth count on it holds the
difference from the count two before. Numbers are written in base 32, five bits to a character, least
significant first: the low five bits are digits in two's complement, the sixth says that more follow, and 48
is added to make a printable character.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from service.inference.masks.runs import Runs, cancel_pairs, find_runs
from service.types import Instances, Ints, Mask, Placement, Rle, Size


@dataclass(frozen=True, slots=True, eq=False)
class EncodedMasks:
    """One mask per instance, in their order; `areas` are int64 [N], in pixels."""

    rles: tuple[Rle, ...]
    areas: Ints


def encode_masks(instances: Instances, placement: Placement) -> EncodedMasks:
    """The masks of all instances over the whole image."""
    runs = find_runs(instances, placement)
    return EncodedMasks(runs_to_rles(runs), runs.areas())


def runs_to_rles(runs: Runs) -> tuple[Rle, ...]:
    """The masks over the whole image."""
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
    return cancel_pairs(toggles).reshape(-1, 2)  # other programs may write runs of no pixels


def encode_bounds(bounds: Ints, splits: Ints, pixels: Ints) -> list[str]:
    """The COCO text of each mask.

    bounds: int64 [R, 2], start and end of each run, ascending and apart within a mask.
    splits: int64 [N + 1], mask n has the runs from splits[n] up to splits[n + 1].
    pixels: int64 [N], the size of each mask's image.

    >>> encode_bounds(np.array([[5, 7]]), np.array([0, 1, 1]), np.array([100, 100]))
    ['52m2', 'T3']
    """
    splits = 2 * splits + np.arange(
        len(splits)
    )  # two counts a run, and one for the pixels after the last run
    firsts, lasts = splits[:-1], splits[1:] - 1
    counts = _count_pixels(bounds.reshape(-1), firsts, lasts, pixels)
    deltas = counts.copy()
    deltas[2:] -= counts[:-2]
    first_three = (firsts[:, None] + np.arange(3)).reshape(-1)
    first_three = first_three[first_three < len(counts)]  # a mask of one count has fewer than three
    deltas[first_three] = counts[first_three]
    written = np.ones(len(counts), bool)
    written[lasts] = counts[lasts] > 0  # a mask up to the last pixel has no count after its last run
    text, ends = _write(deltas, written)
    places = [0, *ends[lasts].tolist()]
    return [text[start:end] for start, end in pairwise(places)]


def _count_pixels(toggles: Ints, firsts: Ints, lasts: Ints, pixels: Ints) -> Ints:
    """Pixels before and in each run, and after the last run of each mask: int64 [2 R + N]."""
    ends = np.empty(len(toggles) + len(lasts), np.int64)
    inner = np.ones(len(ends), bool)
    inner[lasts] = False
    ends[inner] = toggles
    ends[lasts] = pixels
    counts = ends.copy()
    counts[1:] -= ends[:-1]
    counts[firsts] = ends[firsts]
    return counts


def _write(numbers: Ints, written: Mask) -> tuple[str, Ints]:
    """The text of the numbers that are `written`, and the end of each number in it: int64 [M]."""
    lengths = written.astype(np.int64)
    rounds = []
    which = written.nonzero()[0]
    rest = numbers[which]
    while len(which):  # fewer each round: most columns differ little from the one before
        digits = rest & 31
        rest >>= 5
        more = rest != -(digits >> 4)  # false once only repetitions of the sign are left
        rounds.append((which, (digits + 48) + (more << 5)))
        which, rest = which[more], rest[more]
        lengths[which] += 1
    ends = lengths.cumsum()
    text = np.empty(lengths.sum(), np.uint8)
    starts = ends - lengths
    for place, (which, characters) in enumerate(rounds):
        text[starts[which] + place] = characters
    return text.tobytes().decode("ascii"), ends


def decode_counts(text: str) -> Ints:
    """The counts of one mask, int64 [M]; raises ValueError on a text that is not COCO's.

    >>> decode_counts("52m2").tolist()
    [5, 2, 93]
    """
    digits = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - 48
    if (digits < 0).any() or (digits > 63).any():
        raise ValueError("a character of the counts is outside COCO's alphabet '0' to 'o'")
    last = digits & 32 == 0
    if len(digits) and not last[-1]:
        raise ValueError("the counts end in the middle of a number")
    ends = np.flatnonzero(last)
    lengths = np.diff(ends, prepend=-1)
    if lengths.max(initial=0) > 12:
        raise ValueError("a number of the counts is longer than 60 bits")
    shifts = 5 * (np.arange(len(digits)) - np.repeat(ends - lengths + 1, lengths))
    deltas = np.add.reduceat((digits & 31) << shifts, ends - lengths + 1) if len(ends) else ends
    deltas -= np.where(digits[ends] & 16, np.int64(1) << 5 * lengths, 0)
    return _add_deltas(deltas)


def _add_deltas(deltas: Ints) -> Ints:
    """The counts from their differences: int64 [M]."""
    counts = deltas.copy()
    counts[1::2] = np.cumsum(deltas[1::2])
    counts[2::2] = np.cumsum(deltas[2::2])
    return counts
