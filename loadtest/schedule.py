"""When requests are due in an open loop: decided before the run, so that no answer can delay the next one."""

from typing import Literal

import numpy as np
import numpy.typing as npt

Arrivals = Literal["poisson", "constant"]
Offsets = npt.NDArray[np.float64]


def schedule_arrivals(arrivals: Arrivals, rate: float, *, seconds: float, seed: int) -> Offsets:
    """Seconds from the start at which requests are due, in order: float64 [about rate * seconds].

    "constant": evenly spaced. "poisson": independent of each other, as many users are; the gaps are
    exponential, so that the server sees bursts.
    """
    if arrivals == "constant":
        return np.arange(int(rate * seconds)) / rate
    return _draw_poisson(rate, seconds, np.random.default_rng(seed))


def _draw_poisson(rate: float, seconds: float, random: np.random.Generator) -> Offsets:
    """A Poisson process on [0, seconds): its count first, then uniform times."""
    return np.sort(random.uniform(0, seconds, random.poisson(rate * seconds)))
