"""A monotonic map from the network's scores to the share of answers with that score that are right."""

from itertools import pairwise

import numpy as np
from pydantic import model_validator

from service.inference.families import Frozen
from service.types import Floats

_MARGIN = 1e-6  # of a score, for the rounding of the map and of its inverse


class Calibration(Frozen):
    """Points (the network's score, the reported score) in rising order; between them the map is linear.

    A reported score of 0.5 then means that about half of such answers are right. The order of instances does
    not change, so the average precision does not, either.
    """

    points: tuple[tuple[float, float], ...]

    @model_validator(mode="after")
    def _rises_from_0(self) -> "Calibration":
        rises = all(low[0] < high[0] and low[1] < high[1] for low, high in pairwise(self.points))
        starts_at_0, ends_at_1 = self.points[:1] == ((0, 0),), bool(self.points) and self.points[-1][0] == 1
        if not (rises and starts_at_0 and ends_at_1 and self.points[-1][1] <= 1):
            raise ValueError("points must rise from [0, 0] to [1, y] with y of at most 1, in both numbers")
        return self

    def report(self, scores: Floats) -> Floats:
        """The reported scores of the network's: float32 [N].

        >>> Calibration(points=((0, 0), (0.2, 0.5), (1, 1))).report(np.array([0.1, 0.2, 0.6])).tolist()
        [0.25, 0.5, 0.75]
        """
        network, reported = np.array(self.points).T
        found: Floats = np.interp(scores, network, reported).astype(np.float32)
        return found

    def invert(self, threshold: float) -> float:
        """A score of the network, just below that which is reported as `threshold`.

        >>> round(Calibration(points=((0, 0), (0.2, 0.5), (1, 1))).invert(0.75), 4)
        0.6
        """
        network, reported = np.array(self.points).T
        return max(0.0, float(np.interp(threshold, reported, network)) - _MARGIN)
