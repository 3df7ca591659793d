"""Detections of one object in several views become one; those of different objects stay apart."""

import numpy as np
import pytest

from service.inference.detections import (
    Detections,
    join_detections,
    no_detections,
    pack_detections,
    unpack_detections,
)
from service.inference.masks.merging import merge_detections
from service.inference.masks.runs import Runs, combine_runs, count_pixels, fill_windows, place_runs
from service.types import Ints, Mask, Size

IMAGE = Size(100, 300)
WHOLE = (0, 0, 300, 100)
LEFT, MIDDLE, RIGHT = (0, 0, 120, 100), (90, 0, 210, 100), (180, 0, 300, 100)
Box = tuple[int, int, int, int]


def see(box: Box, view: Box, *, score: float = 0.9, label: int = 0) -> Detections:
    """A rectangle as one view shows it."""
    shown = np.array([max(box[0], view[0]), max(box[1], view[1]), min(box[2], view[2]), min(box[3], view[3])])
    return Detections(
        np.array([label]),
        np.array([score], np.float32),
        shown[None].astype(np.float32),
        np.array([view]),
        fill_windows(shown[None], IMAGE),
    )


def merge(*found: Detections, nms: str = "class") -> list[tuple[list[float], int, float]]:
    """Box, pixels and score of each object."""
    merged = merge_detections(join_detections(found), "all" if nms == "all" else "class")
    areas = merged.runs.areas().tolist()
    scores = [round(score, 2) for score in merged.scores.tolist()]
    return list(zip(merged.boxes_xyxy.tolist(), areas, scores, strict=True))


def test_without_detections_there_is_no_object() -> None:
    assert merge(no_detections(IMAGE)) == []


def test_the_whole_object_stays_and_its_fragments_go() -> None:
    box = (60, 20, 240, 80)
    fragments = [see(box, view, score=0.95) for view in (LEFT, MIDDLE, RIGHT)]
    assert merge(*fragments, see(box, WHOLE, score=0.6)) == [([60, 20, 240, 80], 180 * 60, 0.6)]


def test_fragments_alone_become_the_object_without_a_seam() -> None:
    box = (60, 20, 240, 80)
    fragments = [see(box, view, score=score) for view, score in ((LEFT, 0.5), (RIGHT, 0.7), (MIDDLE, 0.6))]
    assert merge(*fragments) == [([60, 20, 240, 80], 180 * 60, 0.7)]


def test_of_two_views_of_a_whole_object_the_better_one_stays() -> None:
    box = (95, 20, 115, 40)
    assert merge(see(box, LEFT, score=0.5), see(box, MIDDLE, score=0.8)) == [([95, 20, 115, 40], 400, 0.8)]


def test_neighbours_of_one_class_stay_two_objects() -> None:
    one, other = (95, 20, 105, 40), (105, 20, 115, 40)
    assert len(merge(see(one, LEFT), see(other, MIDDLE))) == 2


def test_a_small_object_inside_a_large_one_stays() -> None:
    assert len(merge(see((10, 10, 290, 90), WHOLE), see((130, 40, 150, 60), MIDDLE))) == 2


def test_one_view_names_no_object_twice() -> None:
    assert len(merge(see((10, 10, 50, 50), LEFT), see((10, 10, 50, 48), LEFT))) == 2


def test_objects_are_in_the_order_of_their_scores() -> None:
    found = [
        see((at, 10, at + 20, 40), WHOLE, score=score) for at, score in ((10, 0.3), (50, 0.9), (90, 0.6))
    ]
    assert [score for _, _, score in merge(*found)] == [0.9, 0.6, 0.3]


def test_runs_combine_as_pixels_do() -> None:
    random = np.random.default_rng(3)
    one, other = random.random((2, 20, 30)) < 0.5
    for least, expected in ((1, one | other), (2, one & other)):
        bounds = combine_runs(to_bounds(one), to_bounds(other), least=least)
        assert np.array_equal(bounds, to_bounds(expected))
        assert count_pixels(bounds) == expected.sum()


def test_runs_of_a_window_are_the_same_pixels_of_the_image() -> None:
    window = np.random.default_rng(4).random((20, 30)) < 0.5
    image = np.zeros((50, 60), bool)
    image[7:27, 11:41] = window
    bounds = to_bounds(window)
    placed = place_runs(Runs(Size(20, 30), bounds, np.array([0, len(bounds)])), 11, 7, Size(50, 60))
    assert np.array_equal(placed.bounds, to_bounds(image))


def test_a_window_outside_the_image_is_refused() -> None:
    runs = Runs(Size(2, 2), np.array([[0, 1]]), np.array([0, 1]))
    with pytest.raises(ValueError, match="does not lie in"):
        place_runs(runs, 3, 0, Size(4, 4))


def to_bounds(mask: Mask) -> Ints:
    """The runs of a mask, column by column."""
    flat = np.concatenate([[False], mask.T.reshape(-1), [False]])
    bounds: Ints = (flat[1:] != flat[:-1]).nonzero()[0].reshape(-1, 2)
    return bounds


def test_detections_come_out_as_they_were_packed() -> None:
    found = join_detections([see((60, 20, 240, 80), LEFT), see((10, 10, 290, 90), WHOLE, label=3)])
    for each in (found, no_detections(IMAGE)):
        again = unpack_detections(pack_detections(each))
        for name in ("classes", "scores", "boxes_xyxy", "views_xyxy"):
            one, other = getattr(each, name), getattr(again, name)
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        assert np.array_equal(again.runs.bounds, each.runs.bounds)
        assert np.array_equal(again.runs.splits, each.runs.splits)
        assert again.runs.image == IMAGE


@pytest.mark.parametrize("packed", [b"", b"PK", b"cos\nsystem\n(S'true'\ntR."])
def test_bytes_that_are_no_detections_are_refused(packed: bytes) -> None:
    with pytest.raises((ValueError, EOFError)):
        unpack_detections(packed)
