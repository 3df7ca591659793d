"""What an argument may hold."""

import argparse
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_HIGHEST_ID = 1_000_000


def number(least: float, most: float) -> Callable[[str], float]:
    """A reader of numbers within bounds."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
        return value

    return read


def whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers within bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


def identities(text: str) -> frozenset[int]:
    """Whole numbers, and spans of them.

    >>> sorted(identities("1-3,20"))
    [1, 2, 3, 20]
    """
    spans = [[whole(0, _HIGHEST_ID)(end) for end in part.split("-")] for part in text.split(",")]
    return frozenset(number for first, *rest in spans for number in range(first, (rest or [first])[-1] + 1))


def list_of(read_one: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """A reader of comma-separated values.

    >>> list_of(whole(1, 64))("1, 4,16")
    (1, 4, 16)
    """
    return lambda text: tuple(read_one(part.strip()) for part in text.split(","))
