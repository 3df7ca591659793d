"""Where boxes will be: a constant-velocity Kalman filter.

The state is the box's centre and size with their speeds (SORT, Bewley et al. 2016, sec. 3.2; width and height
instead of area and aspect as in BoT-SORT, Aharon et al. 2022, sec. 3.1); noise is proportional to the size of
the object, with the constants of ByteTrack's published code. All matrices of that filter are block-diagonal
over the four coordinates, so it is written as what it is: four filters of two states each.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Doubles: TypeAlias = npt.NDArray[np.float64]
Motions: TypeAlias = Doubles
"""What is believed of N boxes: float64 [N, 5, 4], read-only.

The last axis is centre x, centre y, width and height, in the image frame; the one before it is their place in
pixels, their speed in pixels per FRAME, the variance of the place, the covariance of both, and the variance
of the speed.
"""

FRAME = 1 / 30  # seconds; the noise below is per frame of the 30 fps videos it was tuned on
POSITION_NOISE = 1 / 20  # standard deviations, in sizes of the object
SPEED_NOISE = 1 / 160


def start_motions(boxes_xyxy: Doubles) -> Motions:
    """Boxes seen for the first time (float64 [N, 4]): at rest, with a speed that is hardly known."""
    places = _xyxy_to_cxcywh(boxes_xyxy)
    extents = _extents(places)
    still = np.zeros_like(places)
    place_variance = (2 * POSITION_NOISE * extents) ** 2
    speed_variance = (10 * SPEED_NOISE * extents) ** 2
    return _believe(places, still, place_variance, still, speed_variance)


def predict_motions(motions: Motions, seconds: float, *, seen: npt.NDArray[np.bool_]) -> Motions:
    """The beliefs `seconds` later; boxes out of sight (where `seen`, bool [N], is false) keep their size."""
    frames = seconds / FRAME
    places, speeds, place_variance, covariance, speed_variance = np.moveaxis(motions, 1, 0)
    extents = _extents(places)
    speeds = np.where(seen[:, None] | [True, True, False, False], speeds, 0)
    moved = places + frames * speeds
    moved[:, 2:] = np.maximum(moved[:, 2:], 1)
    return _believe(
        moved,
        speeds,
        place_variance
        + frames * (2 * covariance + frames * speed_variance + (POSITION_NOISE * extents) ** 2),
        covariance + frames * speed_variance,
        speed_variance + frames * (SPEED_NOISE * extents) ** 2,
    )


def correct_motions(motions: Motions, boxes_xyxy: Doubles) -> Motions:
    """The beliefs once the boxes were seen there (float64 [N, 4]), at the time of the prediction."""
    places, speeds, place_variance, covariance, speed_variance = np.moveaxis(motions, 1, 0)
    surprise = _xyxy_to_cxcywh(boxes_xyxy) - places
    total = place_variance + (POSITION_NOISE * _extents(places)) ** 2
    place_gain, speed_gain = place_variance / total, covariance / total
    return _believe(
        places + place_gain * surprise,
        speeds + speed_gain * surprise,
        (1 - place_gain) * place_variance,
        (1 - place_gain) * covariance,
        speed_variance - speed_gain * covariance,
    )


def motions_to_boxes(motions: Motions) -> Doubles:
    """Where the boxes are believed to be: xyxy, float64 [N, 4], image frame, not clipped."""
    centres, halves = motions[:, 0, :2], motions[:, 0, 2:] / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def _believe(*rows: Doubles) -> Motions:
    motions = np.stack(rows, axis=1)
    motions.flags.writeable = False
    return motions


def _xyxy_to_cxcywh(boxes_xyxy: Doubles) -> Doubles:
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def _extents(places: Doubles) -> Doubles:
    """(width, height, width, height), at least a pixel: the yardstick of the noise."""
    return np.maximum(places[:, [2, 3, 2, 3]], 1)
