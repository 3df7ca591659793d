"""The overlay colours the right pixels and leaves the others alone."""

from dataclasses import replace

import numpy as np
import pytest

from service.inference.masks.forms import CONVERTERS
from service.inference.masks.overlay import INK, PALETTE, UNTRACKED, choose_pen, draw_overlay, place_labels
from service.inference.masks.rle import runs_to_rles
from service.inference.masks.runs import Runs
from service.types import BackendInfo, Instance, MaskFormat, Pixels, Segmentation, Size
from tests.fakes import reshape_mask

IMAGE = Size(300, 400)
BACKEND = BackendInfo("onnx", "1", "fp32", 1, asked=(), in_effect=())


def rectangle(
    x: int, y: int, width: int, height: int, *, masked: bool = True, label: str = "cat"
) -> Instance:
    starts = np.arange(x, x + width) * IMAGE.height + y
    runs = Runs(IMAGE, np.stack([starts, starts + height], axis=1), np.array([0, width]))
    return Instance(
        label=label,
        category_id=1,
        score=0.5,
        bbox=(x, y, width, height),
        area=width * height,
        segmentation=runs_to_rles(runs)[0] if masked else None,
    )


def draw(*instances: Instance) -> Pixels:
    grey = np.full((IMAGE.height, IMAGE.width, 3), 100, np.uint8)
    return draw_overlay(grey, Segmentation(IMAGE, instances, "blitz", "1", BACKEND))


def test_masks_are_tinted_inside_and_nothing_changes_elsewhere() -> None:
    drawn = draw(rectangle(100, 100, 80, 60))
    blend = np.rint(np.array(PALETTE[0]) * 0.45 + 100 * 0.55)
    assert (drawn[110:150, 110:170] == blend).all()
    assert (drawn[170:] == 100).all()
    assert (drawn[:, 190:] == 100).all()
    assert (drawn[:70] == 100).all()


def test_the_picture_itself_is_left_alone() -> None:
    picture = np.full((IMAGE.height, IMAGE.width, 3), 100, np.uint8)
    picture.flags.writeable = False
    draw_overlay(picture, Segmentation(IMAGE, (rectangle(10, 40, 50, 50),), "blitz", "1", BACKEND))
    assert (picture == 100).all()


def test_boxes_are_drawn_without_masks_too() -> None:
    drawn = draw(rectangle(100, 100, 80, 60, masked=False))
    assert (drawn[130, 100] == PALETTE[0]).all()
    assert (drawn[130, 140] == 100).all()


def test_the_best_instance_lies_on_top() -> None:
    drawn = draw(rectangle(50, 80, 90, 90), rectangle(100, 80, 90, 90))
    first = np.array(PALETTE[0]) * 0.45
    below = 100 * 0.55 + np.array(PALETTE[1]) * 0.45
    assert np.abs(drawn[120, 115] - (first + below * 0.55)).max() <= 1


@pytest.mark.parametrize("bbox", [(0, 0, 40, 30), (390, 0, 10, 300), (0, 290, 400, 10), (399, 299, 1, 1)])
def test_labels_stay_inside_the_picture(bbox: tuple[int, int, int, int]) -> None:
    drawn = draw(rectangle(*bbox, label="traffic light"))
    ink = np.abs(drawn.astype(int) - INK).max(axis=2) < 30
    rows, columns = np.nonzero(ink)
    assert np.ptp(columns) > 40
    assert np.ptp(rows) > 4


def test_empty_masks_and_no_instances_are_no_trouble() -> None:
    empty = runs_to_rles(Runs(IMAGE, np.zeros((0, 2), np.int64), np.array([0, 0])))[0]
    nothing = Instance("cat", 1, 0.5, (5.0, 5.0, 0.0, 0.0), 0, empty)
    assert (draw() == 100).all()
    assert draw(nothing).shape == (300, 400, 3)


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the segmentation is of"):
        draw_overlay(np.zeros((10, 10, 3), np.uint8), Segmentation(IMAGE, (), "blitz", "1", BACKEND))


def test_strokes_grow_with_the_picture_and_never_vanish() -> None:
    small, large = choose_pen(Size(1, 1)), choose_pen(Size(3000, 4000))
    assert small.line >= 1
    assert large.line > 4 * small.line
    assert large.font > 4 * small.font


@pytest.mark.parametrize("masks", CONVERTERS)
def test_every_form_of_a_mask_is_drawn_alike(masks: MaskFormat) -> None:
    plain = rectangle(100, 100, 80, 60)
    assert np.array_equal(draw(reshape_mask(plain, masks, IMAGE)), draw(plain))


def test_an_identity_keeps_its_colour_whatever_its_place() -> None:
    car = replace(rectangle(100, 100, 80, 60), track_id=3)
    for drawn in (draw(car), draw(rectangle(250, 100, 80, 60), car)):
        assert (drawn[130, 100] == PALETTE[3]).all()


def test_what_has_no_identity_has_nobodys_colour() -> None:
    car, stranger = replace(rectangle(100, 100, 80, 60), track_id=1), rectangle(250, 100, 80, 60)
    assert (draw(car, stranger)[130, 250] == UNTRACKED).all()
    assert UNTRACKED not in PALETTE


def test_labels_never_cover_each_other() -> None:
    apart = draw(rectangle(100, 100, 150, 120))
    plate = (apart[70:100] == PALETTE[0]).all(axis=2).sum()
    ink = (np.abs(apart[70:100].astype(int) - INK).max(axis=2) < 30).sum()
    together = draw(*[rectangle(100 + at, 100 + at, 150, 120, masked=False) for at in range(5)])
    for colour in PALETTE[:5]:
        assert (together == colour).all(axis=2).sum() > 0.9 * plate
    assert (np.abs(together.astype(int) - INK).max(axis=2) < 30).sum() > 4 * ink


def test_in_a_crowd_no_label_is_larger_than_what_it_names() -> None:
    few = draw(*[rectangle(30 * at, 100, 20, 20, masked=False) for at in range(2)])
    many = draw(*[rectangle(30 * at, 100, 20, 20, masked=False) for at in range(9)])
    assert (np.abs(few.astype(int) - INK).max(axis=2) < 30).any()
    assert not (np.abs(many.astype(int) - INK).max(axis=2) < 30).any()


def test_a_label_tells_the_identity() -> None:
    def plate(instance: Instance) -> int:
        return int(np.ptp(np.nonzero((draw(instance)[80:95] == PALETTE[0]).all(axis=2))[1]))

    plain = rectangle(100, 100, 80, 60)
    named = replace(plain, label="#10 cat")
    assert plate(replace(plain, track_id=10)) == plate(named) > plate(plain) > 0


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
