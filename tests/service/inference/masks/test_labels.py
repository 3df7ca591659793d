"""Where labels go."""

import numpy as np

from service.inference.masks.labels import place_labels
from service.types import Size

IMAGE = Size(300, 400)


def test_labels_stay_inside_and_never_cover_each_other() -> None:
    random = np.random.default_rng(2)
    corners = random.integers(-20, 380, (60, 2))
    boxes_xyxy = np.concatenate([corners, corners + np.array([50, 40])], axis=1)
    placed = place_labels(boxes_xyxy, np.array([(70, 19)] * 60), IMAGE)
    assert len(placed) == 60
    canvas = np.zeros((IMAGE.height, IMAGE.width), np.int64)
    for x, y in filter(None, placed):
        part = canvas[y : y + 19, x : x + 70]
        assert part.shape == (19, 70)
        part += 1
    assert canvas.max() == 1
    assert placed[0] is not None
    assert None in placed


def test_a_label_that_is_wider_than_the_picture_begins_at_its_edge() -> None:
    assert place_labels(np.array([(10, 50, 20, 60)]), np.array([(500, 20)]), IMAGE) == [(0, 30)]


def test_no_labels_need_no_places() -> None:
    assert place_labels(np.empty((0, 4), np.int64), np.empty((0, 2), np.int64), IMAGE) == []
