"""The self-test of a model file: a generated picture goes in, and known head values come out.

The picture is integer arithmetic on the coordinates, so it is the same on every machine and numpy version.
"""

import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from service.errors import InvalidCard, SelfTestFailed
from service.inference.card import describe_faults, read_json
from service.types import Heads, Pixels, Precision, Size


class Sample(BaseModel):
    """The value of one head at one place: `at` is (row, column, channel)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    head: str
    at: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
    value: float


class Golden(BaseModel):
    """The content of golden.json; a tolerance is the largest allowed |difference| / (1 + |value|)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1]
    seed: int = Field(ge=1, lt=2**31)
    tolerance: dict[Precision, Annotated[float, Field(gt=0, le=10)]]
    samples: tuple[Sample, ...] = Field(min_length=1)


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


def sample_heads(heads: Heads, seed: int, count: int = 16) -> tuple[Sample, ...]:
    """Values at `count` places of every head, for golden.json; heads are float32 [1, h, w, C]."""
    samples = []
    for name, values in sorted(heads.items()):
        for step in range(count):
            at = tuple(
                (step * prime * seed + step) % extent
                for prime, extent in zip((31, 17, 7), values.shape[1:], strict=True)
            )
            row, column, channel = at
            samples.append(Sample(head=name, at=(row, column, channel), value=float(values[0][at])))
    return tuple(samples)


def read_golden(folder: Path) -> Golden:
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
    tolerance = golden.tolerance.get(precision)
    if tolerance is None:
        raise InvalidCard(f"golden.json gives no tolerance for {precision}")
    worst, where = 0.0, golden.samples[0]
    for sample in golden.samples:
        try:
            found = float(heads[sample.head][0][sample.at])
        except (KeyError, IndexError) as error:
            raise InvalidCard(
                f"golden.json samples {sample.head} at {sample.at}, which does not exist"
            ) from error
        difference = abs(found - sample.value) / (1 + abs(sample.value))
        if math.isnan(difference):
            difference = math.inf
        if difference > worst:
            worst, where = difference, sample
    if worst > tolerance:
        raise SelfTestFailed(
            f"head {where.head} at {where.at} is off by {worst:.2g} (at most {tolerance:g} for {precision}): "
            "a wrong file, a wrong quantisation, or a delegate that miscomputes"
        )
    return worst
