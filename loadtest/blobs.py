"""Instances as a network would give them, drawn instead of inferred, for timing what comes after it."""

import cv2
import numpy as np
import numpy.typing as npt

from service.types import Instances, Placement, Size

Doubles = npt.NDArray[np.float64]

CANVAS = Size(320, 320)

# Sides of the objects in a picture's own width and height: log-normal around 9 % x 14 %, a factor of 3 to one
# standard deviation, wide ones mostly tall, at most the whole picture. Fitted to the 19,583 annotated objects
# of our training data (5th to 95th percentile: 1.5 to 63 % of the width, 2.6 to 84 % of the height).
_MEDIAN_SIDES = (0.09, 0.14)
_SPREAD = 1.1
_CORRELATION = 0.8


def fit_canvas(image: Size, canvas: Size = CANVAS) -> Placement:
    """Where an image lies on the canvas with its aspect kept."""
    scale = min(canvas.height / image.height, canvas.width / image.width)
    return Placement(image, canvas, Size(round(image.height * scale), round(image.width * scale)))


def draw_instances(count: int, placement: Placement, *, stride: int = 4, seed: int = 0) -> Instances:
    """Objects with smooth, wobbly outlines and some texture in their logits, anywhere in the image."""
    random = np.random.default_rng(seed)
    boxes = _draw_boxes(random, count, placement.placed)
    cells = Size(placement.canvas.height // stride, placement.canvas.width // stride)
    fields = [_draw_field(random, box, cells, stride) for box in boxes]
    return Instances(
        classes=np.zeros(count, np.int64),
        scores=np.linspace(1, 0.3, count, dtype=np.float32),
        boxes_xyxy_canvas=boxes.astype(np.float32),
        mask_fields=np.array(fields, np.float32).reshape(count, cells.height, cells.width),
    )


def _draw_boxes(random: np.random.Generator, count: int, placed: Size) -> Doubles:
    """float64 [count, 4] xyxy, canvas frame."""
    extent = np.array([placed.width, placed.height], np.float64)
    normal = random.normal(size=(count, 2))
    normal[:, 1] = _CORRELATION * normal[:, 0] + np.sqrt(1 - _CORRELATION**2) * normal[:, 1]
    sides = np.minimum(np.exp(_SPREAD * normal) * _MEDIAN_SIDES, 1) * extent
    corners = random.uniform(0, 1, (count, 2)) * (extent - sides)
    return np.concatenate([corners, corners + sides], axis=1)


def _draw_field(random: np.random.Generator, box: Doubles, cells: Size, stride: int) -> Doubles:
    """Logits, positive inside an outline of five harmonics that nearly fills the box: float64 [h, w]."""
    rows, columns = np.mgrid[: cells.height, : cells.width]
    across = ((columns + 0.5) * stride - (box[0] + box[2]) / 2) / max((box[2] - box[0]) / 2, 1e-3)
    down = ((rows + 0.5) * stride - (box[1] + box[3]) / 2) / max((box[3] - box[1]) / 2, 1e-3)
    angle, radius = np.arctan2(down, across), np.hypot(across, down)
    outline = np.full_like(angle, 0.85)
    for harmonic in range(1, 6):
        outline += random.normal(0, 0.12 / harmonic) * np.cos(harmonic * angle + random.uniform(0, 2 * np.pi))
    texture = cv2.GaussianBlur(random.normal(0, 1.8, (cells.height, cells.width)), (0, 0), 2)
    field: Doubles = np.clip(8 * (outline - radius), -12, 8) + texture
    return field
