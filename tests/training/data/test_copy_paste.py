"""Copy-paste, object by object."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.types import Size
from training.data.annotations import Annotation, Picture
from training.data.augment import CopyPaste
from training.data.copy_paste import Scene, cut_objects, hide_object, outline_object, paste_objects
from training.data.masks import Bitmap, decode_counts

SIZE = Size(60, 80)
BLANK = Annotation(label=0, box_xywh=(0, 0, 1, 1), counts=None, ignored=False)
EVERY_TIME = CopyPaste(most=9, scale=(1.0, 1.0))


def draw_box(left: int, top: int, right: int, bottom: int, size: Size = SIZE) -> Bitmap:
    mask = np.zeros((size.height, size.width), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def draw_object(label: int, left: int, top: int, right: int, bottom: int, size: Size = SIZE) -> Annotation:
    return outline_object(replace(BLANK, label=label), draw_box(left, top, right, bottom, size))


def make_scene(colour: int, *annotations: Annotation, size: Size = SIZE) -> Scene:
    picture = Picture(Path("none"), size, annotations, unlabelled=frozenset({5}))
    return Scene(picture, np.full((size.height, size.width, 3), colour, np.uint8))


def decode(annotation: Annotation, size: Size = SIZE) -> Bitmap:
    assert annotation.counts is not None
    return decode_counts(annotation.counts, size)


def test_an_outline_has_the_mask_and_the_box_around_it() -> None:
    found = outline_object(replace(BLANK, label=3), draw_box(10, 20, 30, 50))
    assert (found.label, found.box_xywh) == (3, (10.0, 20.0, 20.0, 30.0))
    np.testing.assert_array_equal(decode(found), draw_box(10, 20, 30, 50))


def test_what_nothing_was_pasted_over_stays_as_it_is() -> None:
    item = draw_object(1, 10, 10, 20, 20)
    assert hide_object(item, SIZE, draw_box(20, 10, 40, 20)) is item


def test_a_box_that_is_touched_while_its_mask_is_not_stays_as_it_is() -> None:
    mask = draw_box(10, 10, 40, 40) & ~draw_box(30, 30, 40, 40)
    item = outline_object(BLANK, mask)
    assert hide_object(item, SIZE, draw_box(32, 32, 38, 38)) is item


def test_an_object_half_covered_keeps_the_other_half_and_its_box() -> None:
    left = hide_object(draw_object(1, 10, 10, 30, 30), SIZE, draw_box(20, 0, 80, 60))
    assert left is not None
    assert left.box_xywh == (10.0, 10.0, 10.0, 20.0)
    np.testing.assert_array_equal(decode(left), draw_box(10, 10, 20, 30))


@pytest.mark.parametrize("visible", [0, 2])
def test_an_object_covered_nearly_all_over_is_dropped(visible: int) -> None:
    assert hide_object(draw_object(1, 10, 10, 30, 30), SIZE, draw_box(10 + visible, 0, 80, 60)) is None


def test_an_object_known_as_a_box_is_ignored_where_something_covers_it() -> None:
    item = replace(BLANK, box_xywh=(-3.5, 10, 30, 20))
    left = hide_object(item, SIZE, draw_box(0, 12, 10, 20))
    assert left == replace(item, ignored=True)


def test_pasted_pixels_and_masks_are_the_same_places() -> None:
    scene = make_scene(10, draw_object(0, 0, 0, 80, 60))
    donor = make_scene(200, draw_object(2, 10, 20, 40, 50), draw_object(4, 50, 5, 70, 25))
    found = paste_objects(scene, donor, EVERY_TIME, np.random.default_rng(0))
    background, *pasted = found.picture.annotations
    assert pasted
    union = np.bitwise_or.reduce([decode(item) for item in pasted])
    np.testing.assert_array_equal(found.pixels[:, :, 0] == 200, union > 0)
    np.testing.assert_array_equal(decode(background), 1 - union)
    assert {item.label for item in pasted} <= {2, 4}
    assert found.picture.unlabelled == scene.picture.unlabelled


def test_pasted_objects_do_not_overlap_each_other() -> None:
    donor = make_scene(200, draw_object(2, 10, 10, 50, 50), draw_object(4, 20, 20, 60, 60))
    for seed in range(20):
        cuttings = cut_objects(donor, SIZE, EVERY_TIME, np.random.default_rng(seed))
        masks = [decode(item) for item in cuttings.annotations]
        assert all((sum(masks, start=np.zeros_like(cuttings.covered)) == cuttings.covered).ravel())


def test_a_donor_of_another_size_is_scaled_to_the_picture() -> None:
    large = Size(240, 320)
    donor = make_scene(200, draw_object(2, 40, 40, 120, 160, large), size=large)
    (found,) = cut_objects(donor, SIZE, EVERY_TIME, np.random.default_rng(0)).annotations
    assert found.box_xywh[2:] == (20.0, 30.0)


@pytest.mark.parametrize(
    "annotation",
    [
        replace(BLANK, box_xywh=(10, 10, 40, 40)),
        replace(draw_object(1, 10, 10, 40, 40), ignored=True),
        draw_object(1, 10, 10, 12, 12),
    ],
)
def test_crowds_boxes_and_specks_are_not_pasted(annotation: Annotation) -> None:
    scene = make_scene(10, draw_object(0, 0, 0, 80, 60))
    assert paste_objects(scene, make_scene(200, annotation), EVERY_TIME, np.random.default_rng(0)) is scene


def test_no_more_is_pasted_than_the_rules_allow() -> None:
    donor = make_scene(200, *(draw_object(2, 10 * column, 5, 10 * column + 9, 50) for column in range(8)))
    counts = [
        len(
            cut_objects(donor, SIZE, CopyPaste(most=3, scale=(1, 1)), np.random.default_rng(seed)).annotations
        )
        for seed in range(30)
    ]
    assert (min(counts), max(counts)) == (1, 3)


def test_the_same_seed_pastes_the_same() -> None:
    scene, donor = make_scene(10), make_scene(200, draw_object(2, 10, 20, 40, 50))
    first, second = (paste_objects(scene, donor, CopyPaste(), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.picture == second.picture
