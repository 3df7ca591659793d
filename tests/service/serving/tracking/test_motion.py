from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from service.serving.tracking.overlap import Doubles
from service.serving.tracking.track import (
    FRAME,
    Motions,
    correct_motions,
    motions_to_boxes,
    predict_motions,
    start_motions,
)

PLACE, SPEED, PLACE_VARIANCE, COVARIANCE, SPEED_VARIANCE = range(5)
SEEN, HIDDEN = np.array([True]), np.array([False])


def box(x: float, y: float = 50, width: float = 40, height: float = 20) -> Doubles:
    return np.array([[x, y, x + width, y + height]])


def watch(boxes: Sequence[Doubles], seconds: float = FRAME) -> Motions:
    motions = start_motions(boxes[0])
    for seen in boxes[1:]:
        motions = correct_motions(predict_motions(motions, seconds, seen=SEEN), seen)
    return motions


def joint_filter(boxes: Sequence[Doubles]) -> tuple[Doubles, Doubles]:
    """Mean and covariance of the same filter in the textbook's form: one state of eight."""

    def noise(mean: Doubles, position: float, speed: float) -> Doubles:
        extent = np.tile(mean[2:4], 2)
        return np.diag(np.concatenate([extent * position, extent * speed]) ** 2)

    observe = np.eye(4, 8)
    step = np.eye(8) + np.eye(8, k=4)
    places = [np.concatenate([(seen[:2] + seen[2:]) / 2, seen[2:] - seen[:2]]) for (seen,) in boxes]
    mean = np.concatenate([places[0], np.zeros(4)])
    covariance = noise(mean, 2 / 20, 10 / 160)
    for place in places[1:]:
        covariance = step @ covariance @ step.T + noise(mean, 1 / 20, 1 / 160)
        mean = step @ mean
        total = observe @ covariance @ observe.T + noise(mean, 1 / 20, 0)[:4, :4]
        gain = covariance @ observe.T @ np.linalg.inv(total)
        mean = mean + gain @ (place - observe @ mean)
        covariance = covariance - gain @ observe @ covariance
    return mean, covariance


def test_four_small_filters_are_the_one_large_filter() -> None:
    generator = np.random.default_rng(1)
    boxes = [box(4.0 * step, width=40 + step) + generator.normal(0, 1, 4) for step in range(12)]
    mean, covariance = joint_filter(boxes)
    (motion,) = watch(boxes)
    assert np.allclose(motion[[PLACE, SPEED]].ravel(), mean)
    assert np.allclose(motion[[PLACE_VARIANCE, SPEED_VARIANCE]].ravel(), np.diag(covariance))
    assert np.allclose(motion[COVARIANCE], np.diag(covariance, k=4))


def test_boxes_do_not_disturb_each_other() -> None:
    first = [box(4.0 * step) for step in range(5)]
    second = [box(90, width=5.0 + step) for step in range(5)]
    motions = start_motions(np.concatenate([first[0], second[0]]))
    for both in zip(first[1:], second[1:], strict=True):
        motions = predict_motions(motions, FRAME, seen=np.array([True, True]))
        motions = correct_motions(motions, np.concatenate(both))
    assert np.array_equal(motions, np.concatenate([watch(first), watch(second)]))


def test_a_steady_box_is_predicted_where_it_goes() -> None:
    motions = watch([box(3.0 * step) for step in range(30)])
    later = motions_to_boxes(predict_motions(motions, 10 * FRAME, seen=SEEN))
    assert np.allclose(later, box(3.0 * 39), atol=1)


@pytest.mark.parametrize("fps", [5, 30, 120])
def test_the_learnt_speed_does_not_depend_on_the_frame_rate(fps: int) -> None:
    motions = watch([box(60 * number / fps) for number in range(3 * fps)], seconds=1 / fps)
    assert motions[0, SPEED, 0] / FRAME == pytest.approx(60, rel=0.05)


def test_waiting_makes_unsure_and_seeing_makes_sure() -> None:
    motions = watch([box(0), box(0)])
    beliefs = [predict_motions(motions, seconds, seen=SEEN) for seconds in (0, 0.1, 1, 10)]
    for sooner, later in pairwise(beliefs):
        assert (later[:, PLACE_VARIANCE] > sooner[:, PLACE_VARIANCE]).all()
    assert (correct_motions(beliefs[1], box(0))[:, PLACE_VARIANCE] < beliefs[1][:, PLACE_VARIANCE]).all()


def test_no_time_passing_changes_nothing() -> None:
    motions = watch([box(0), box(5), box(10)])
    assert np.array_equal(predict_motions(motions, 0, seen=SEEN), motions)


def test_a_box_out_of_sight_moves_on_but_keeps_its_size() -> None:
    motions = watch([box(5.0 * step, width=100 - 3 * step) for step in range(20)])
    hidden = predict_motions(motions, 1.0, seen=HIDDEN)
    assert hidden[0, PLACE, 0] > motions[0, PLACE, 0] + 30
    assert np.array_equal(hidden[:, PLACE, 2:], motions[:, PLACE, 2:])


def test_a_shrinking_box_keeps_at_least_a_pixel() -> None:
    motions = watch([box(0, width=40 - 2 * step) for step in range(18)])
    assert predict_motions(motions, 60, seen=SEEN)[0, PLACE, 2] == 1


def test_a_box_without_extent_gives_finite_beliefs() -> None:
    motions = watch([box(5, width=0, height=0)] * 3)
    assert np.isfinite(motions).all()
    assert (motions[:, PLACE_VARIANCE] > 0).all()


def test_beliefs_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="read-only"):
        watch([box(0)])[0, PLACE] = 0
