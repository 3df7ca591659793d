"""The self-test of a model file: a generated picture goes in, and known head values come out.

The picture is integer arithmetic on the coordinates, so it is the same on every machine and numpy version.
"""

import math
from collections.abc import Collection
from itertools import cycle
from operator import itemgetter
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, model_validator

from service.errors import InvalidCard, SelfTestFailed
from service.inference.card import Folder, describe_faults, read_json
from service.types import Heads, Pixels, Precision, Size

_PRIMES = (31, 17, 7)  # steps along the axes, so that the places differ


FP16 = 0.02  # the tolerance of fp16 where a file has none


class Sample(BaseModel):
    """The value of one head at one place: `at` has an index for every axis but the first, which is 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    head: str
    at: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1, max_length=8)]
    value: float


class Golden(BaseModel):
    """The content of golden.json; a tolerance is the largest allowed |difference| / (1 + |value|).

    empty: heads that list instances, and list none for this picture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1]
    seed: int = Field(ge=1, lt=2**31)
    tolerance: dict[Precision, Annotated[float, Field(gt=0, le=10)]]
    samples: tuple[Sample, ...] = ()
    empty: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _tests_something(self) -> "Golden":
        if not self.samples and not self.empty:
            raise ValueError("samples: there is nothing to compare")
        return self

    def find_tolerance(self, precision: Precision) -> float | None:
        """The tolerance of a precision, None where it is missing; bf16 has three bits less than fp16."""
        if precision == "bf16":
            return 8 * self.tolerance.get("fp16", FP16)
        return self.tolerance.get(precision)


def draw_picture(size: Size, seed: int) -> Pixels:
    """A picture with edges, gradients and texture: uint8 [H, W, 3] RGB.

    >>> draw_picture(Size(2, 3), seed=1).shape
    (2, 3, 3)
    """
    rows, columns = np.mgrid[: size.height, : size.width].astype(np.int64)
    channels = []
    for channel in range(3):
        wave = (rows * rows * (channel + 1) + columns * columns * (3 - channel) + rows * columns * seed) >> 6
        checks = ((rows >> 5) + (columns >> 4) + channel) % 3 * 70
        channels.append((wave + checks) % 256)
    return np.stack(channels, axis=-1).astype(np.uint8)


def sample_heads(
    heads: Heads, seed: int, count: int = 16, *, listed: Collection[str] = ()
) -> tuple[Sample, ...]:
    """Values at `count` places of every head, for golden.json; heads are float32 [1, ...].

    listed: heads [1, n, ...] whose rows are instances, best first. Only their first row is sampled, as the
        number of rows and the order of the last ones depend on rounding; none where there is no row.
    """
    samples = []
    for name, values in sorted(heads.items()):
        extents = values.shape[1:]
        if name in listed:
            extents = (min(1, values.shape[1]), *extents[1:])
        for step in range(count if all(extents) else 0):
            at = tuple(
                (step * prime * seed + step) % extent
                for prime, extent in zip(cycle(_PRIMES), extents, strict=False)
            )
            samples.append(Sample(head=name, at=at, value=float(values[0][at])))
    return tuple(samples)


def list_empty(heads: Heads, listed: Collection[str]) -> tuple[str, ...]:
    """The heads among the `listed` ones that have no row, for golden.json."""
    return tuple(name for name in sorted(listed) if heads[name].shape[1] == 0)


def read_golden(folder: Folder) -> Golden:
    """The golden values of a model folder; raises InvalidCard when they are missing or malformed."""
    path = folder / "golden.json"
    try:
        return Golden.model_validate_json(read_json(path))
    except ValidationError as error:
        raise InvalidCard(f"{path}: {describe_faults(error, 'golden')}") from error


def check_heads(heads: Heads, golden: Golden, precision: Precision) -> float:
    """The largest relative difference from the golden values.

    Raises SelfTestFailed when it exceeds the tolerance, InvalidCard when the golden values do not fit
    the heads.
    """
    tolerance = golden.find_tolerance(precision)
    if tolerance is None:
        raise InvalidCard(f"golden.json gives no tolerance for {precision}")
    differences = [(_compare(heads, sample), f"{sample.head} at {sample.at}") for sample in golden.samples]
    differences += [(_count_rows(heads, name), f"{name}, a list to be empty,") for name in golden.empty]
    worst, where = max(differences, key=itemgetter(0))
    if worst > tolerance:
        raise SelfTestFailed(
            f"head {where} is off by {worst:.2g} (at most {tolerance:g} for {precision}): "
            "a wrong file, a wrong quantisation, or a delegate that miscomputes"
        )
    return worst


def _compare(heads: Heads, sample: Sample) -> float:
    """|difference| / (1 + |value|), infinite for NaN; raises InvalidCard where the place does not exist."""
    place = f"golden.json samples {sample.head} at {sample.at}, which"
    if sample.head in heads and heads[sample.head].shape[1] == 0:
        return math.inf  # a list without rows, where there was one
    try:
        found = heads[sample.head][0][sample.at]
    except (KeyError, IndexError) as error:
        raise InvalidCard(f"{place} does not exist") from error
    if np.ndim(found):
        raise InvalidCard(f"{place} is not one number")
    difference = abs(float(found) - sample.value) / (1 + abs(sample.value))
    return math.inf if math.isnan(difference) else difference


def _count_rows(heads: Heads, name: str) -> float:
    """Infinite where the head lists instances, else 0; raises InvalidCard where there is no such head."""
    if name not in heads:
        raise InvalidCard(f"golden.json names the head {name}, which does not exist")
    return math.inf if heads[name].shape[1] else 0.0
