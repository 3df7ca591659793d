"""How the learning rate goes with the progress of a run, a share from 0 to 1."""

import math


def cosine_rate(progress: float, warm_up: float) -> float:
    """Share of the peak rate: linear growth for the share `warm_up` of the run, then half a cosine down to 0.

    >>> [round(cosine_rate(progress, 0.1), 2) for progress in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if progress < warm_up:
        return progress / warm_up
    return (1 + math.cos(math.pi * min(1.0, (progress - warm_up) / (1 - warm_up)))) / 2


def trapezoid_rate(progress: float, warm_up: float, decay: float) -> float:
    """Share of the peak rate: linear growth for `warm_up` of the run, flat, 1 - sqrt down to 0 over `decay`.

    >>> [round(trapezoid_rate(progress, 0.1, 0.4), 2) for progress in (0.05, 0.1, 0.6, 0.7, 1.0)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if progress < warm_up:
        return progress / warm_up
    return 1 - math.sqrt(min(1.0, max(0.0, progress - (1 - decay)) / decay))
