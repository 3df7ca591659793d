"""Views: pixels, points, boxes and masks must all go to the same place; copy-paste, object by object."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.inference.canvas import letterbox
from service.inference.golden import draw_picture
from service.types import Size
from training.data.annotations import Annotation, Picture
from training.data.augment import (
    Augmentation,
    CopyPaste,
    Scene,
    View,
    change_colours,
    cut_objects,
    draw_view,
    fit_view,
    hide_object,
    outline_object,
    paste_objects,
)
from training.data.masks import Bitmap, decode_counts

extents = st.integers(8, 200)
sizes = st.builds(Size, extents, extents)
views = st.builds(
    View,
    image=sizes,
    canvas=st.just(Size(96, 128)),
    resized=sizes,
    offset_x=st.integers(-60, 60),
    offset_y=st.integers(-60, 60),
    mirrored=st.booleans(),
)


@given(views, st.floats(0, 200), st.floats(0, 200))
def test_points_come_back(view: View, x: float, y: float) -> None:
    point = np.array([x, y])
    assert view.points_to_image(view.place_points(point)) == pytest.approx(point, abs=1e-6)


@settings(deadline=None)
@given(views)
def test_a_mask_covers_the_cells_that_its_pixels_cover(view: View) -> None:
    """A white block on black, placed as a picture and as a mask; cells at its blurred rim may differ."""
    mask = np.zeros((view.image.height, view.image.width), np.uint8)
    mask[view.image.height // 4 : view.image.height // 2, view.image.width // 3 :] = 1
    pixels = view.place_pixels(np.repeat(mask[:, :, None] * np.uint8(255), 3, axis=2))[:, :, 0]
    drawn = view.sample_mask(mask, 1.0)
    decided = (pixels < 60) | (pixels > 195)
    outside = view.place_pixels(np.zeros((*mask.shape, 3), np.uint8))[:, :, 0] > 0  # the fill
    assert ((pixels > 127) == drawn)[decided & ~outside].all()
    assert not drawn[outside].any()


@given(views)
def test_a_box_goes_where_its_corners_go(view: View) -> None:
    box = view.place_box((2.0, 3.0, 4.0, 5.0))
    corners = view.place_points(np.array([[2.0, 3.0], [6.0, 8.0]]))
    assert box == pytest.approx(np.concatenate([corners.min(axis=0), corners.max(axis=0)]))


def test_a_mirrored_view_turns_left_into_right() -> None:
    view = View(Size(10, 20), Size(32, 32), Size(10, 20), mirrored=True)
    assert view.place_box((0, 0, 5, 10)).tolist() == [15, 0, 20, 10]
    mask = np.zeros((10, 20), np.uint8)
    mask[:, :5] = 1
    assert view.sample_mask(mask, 1.0)[:10, :20].tolist() == mask[:, ::-1].tolist()


def test_cells_are_sampled_at_their_centres() -> None:
    """The centre of the cell over [4, 8) is x = 6, where pixel 6 begins."""
    view = View(Size(8, 12), Size(8, 12), Size(8, 12))
    mask = np.zeros((8, 12), np.uint8)
    mask[:, 6:] = 1
    assert view.sample_mask(mask, 4.0).tolist() == [[0, 1, 1]] * 2
    mask[:, 6] = 0
    assert view.sample_mask(mask, 4.0).tolist() == [[0, 0, 1]] * 2


@pytest.mark.parametrize("size", [Size(240, 320), Size(333, 500), Size(77, 31), Size(320, 320), Size(5, 400)])
def test_the_fitting_view_is_the_services_letterbox(size: Size) -> None:
    pixels, canvas = draw_picture(size, seed=3), Size(320, 320)
    expected, placement = letterbox(pixels, canvas)
    view = fit_view(size, canvas)
    assert view.resized == placement.placed
    assert (view.place_pixels(pixels) == expected).all()


def test_drawn_views_stay_in_their_ranges_and_keep_something_in_sight() -> None:
    augmentation = Augmentation(scale=(0.5, 2.0), aspect=(0.8, 1.25))
    image, canvas = Size(300, 400), Size(320, 320)
    random = np.random.default_rng(0)
    drawn = [draw_view(image, canvas, augmentation, random) for _ in range(300)]
    scales = np.array([np.sqrt(view.scale_x * view.scale_y) / 0.8 for view in drawn])
    aspects = np.array([view.scale_x / view.scale_y for view in drawn])
    assert scales.min() >= 0.49
    assert scales.max() <= 2.01
    assert scales.max() / scales.min() > 3
    assert aspects.min() >= 0.79
    assert aspects.max() <= 1.26
    assert {view.mirrored for view in drawn} == {True, False}
    for view in drawn:
        spare_x, spare_y = canvas.width - view.resized.width, canvas.height - view.resized.height
        assert min(0, spare_x) <= view.offset_x <= max(0, spare_x)
        assert min(0, spare_y) <= view.offset_y <= max(0, spare_y)


def test_the_same_random_numbers_draw_the_same_view() -> None:
    first, second = (
        draw_view(Size(50, 60), Size(64, 64), Augmentation(), np.random.default_rng((1, 2))) for _ in range(2)
    )
    assert first == second


def test_colours_change_within_bounds_and_not_at_all_with_an_idle_augmentation() -> None:
    pixels = draw_picture(Size(40, 50), seed=1)
    idle = Augmentation(brightness=0, contrast=0, saturation=0, hue=0)
    same = change_colours(pixels, idle, np.random.default_rng(0))
    assert abs(same.astype(int) - pixels).max() <= 5  # HSV in 8 bits rounds
    changed = change_colours(pixels, Augmentation(), np.random.default_rng(0))
    assert changed.dtype == np.uint8
    assert 2 < abs(changed.astype(int) - pixels).mean() < 90


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
