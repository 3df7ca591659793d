"""COCO's text for run lengths: differences in base 32, five bits to a character, least significant first.

From the fourth count on, what is written is the difference from the count two before. A character's low five
bits are digits in two's complement, its sixth says that more follow, and 48 is added to make it printable.
"""

from itertools import pairwise

import numpy as np

from service.types import Ints, Mask


def encode_bounds(bounds: Ints, splits: Ints, pixels: Ints) -> list[str]:
    """The text of each mask's counts.

    bounds: int64 [R, 2], where runs start and end, ascending and apart in each mask; splits: int64 [N + 1],
    the runs of each mask; pixels: int64 [N], the size of each mask's image.

    >>> encode_bounds(np.array([[5, 7]]), np.array([0, 1, 1]), np.array([100, 100]))
    ['52m2', 'T3']
    """
    splits = 2 * splits + np.arange(len(splits))  # each mask's runs, and what is left after the last of them
    firsts, lasts = splits[:-1], splits[1:] - 1
    counts = _count_pixels(bounds.reshape(-1), firsts, lasts, pixels)
    deltas = counts.copy()
    deltas[2:] -= counts[:-2]
    first_three = (firsts[:, None] + np.arange(3)).reshape(-1)
    first_three = first_three[first_three < len(counts)]  # beyond a mask of one are the next one's first
    deltas[first_three] = counts[first_three]
    written = np.ones(len(counts), bool)
    written[lasts] = counts[lasts] > 0  # a mask that reaches the last pixel has nothing after its last run
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
    """The text of those numbers that are to be written, and where in it each one ends: int64 [M]."""
    lengths = written.astype(np.int64)
    rounds = []
    which = written.nonzero()[0]
    rest = numbers[which]
    while len(which):  # ever fewer: most columns differ little from the one before
        digits = rest & 31
        rest >>= 5
        more = rest != -(digits >> 4)  # not yet only repetitions of the sign
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
    """Each number from the fourth on plus the result two before: int64 [M]."""
    counts = deltas.copy()
    counts[1::2] = np.cumsum(deltas[1::2])
    counts[2::2] = np.cumsum(deltas[2::2])
    return counts
