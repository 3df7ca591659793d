"""The ground truth of a picture in the network's terms (BlitzMask, sec. 3.2 and 4.3).

Cell (i, j) of the heatmap stands for the canvas point (x, y) = (4j, 4i), as in the paper's eq. 1. Sizes are
measured from that point, so that a decoded box is exact wherever in its cell the true centre is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from service.types import Size
from training.data.annotations import Annotation, Picture
from training.data.augment import Scene, View
from training.data.batch import Batch, Samples, choose_mask_cells, dense_samples, single_samples
from training.data.masks import Bitmap, decode_counts
from training.networks.blitzmask import STRIDE

MIN_SIDE = 3.0  # canvas pixels; smaller objects are neither positives nor negatives
MIN_VISIBLE = 0.25  # objects with a smaller visible share of their box are neither positives nor negatives

Cell = tuple[int, int]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TargetRules:
    """The options of the ground truth.

    centre: the mask's centre of mass (sec. 4.3) or the box's centre.
    overlap: the IoU that sets the heatmap's radius, see `gaussian_radius`.
    dense: TTFNet's alpha, see `dense_samples`; 0 for one cell an object, as in the paper.
    enclosed: background counts for `Picture.enclosed` labels inside the picture's masked objects.
    resolution: mask cells per heatmap cell, along each side.
    mask_cells: cells at which an object's mask is learnt, if `dense`.
    """

    centre: Literal["mass", "box"] = "mass"
    overlap: float = 0.7
    dense: float = 0.0
    enclosed: bool = False
    resolution: int = 1
    mask_cells: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class PlacedObject:
    """An annotation on the canvas.

    box_xyxy: float64 [4], canvas frame, clipped to the canvas. mask: image frame, None if unknown.
    wanted: it is a positive; otherwise its cells are neither positive nor negative.
    """

    label: int
    box_xyxy: Doubles
    mask: Bitmap | None
    wanted: bool


def draw_targets(
    scene: Scene, view: View, *, classes: int, rules: TargetRules, random: np.random.Generator
) -> Batch:
    """A batch of one picture in one view."""
    picture = scene.picture
    objects = [place_object(annotation, picture, view) for annotation in picture.annotations]
    wanted = [item for item in objects if item.wanted]
    cells = [centre_cell(find_centre(item, view, rules), view.canvas) for item in wanted]
    grid = (view.canvas.height // STRIDE, view.canvas.width // STRIDE, classes)
    heatmap = draw_heatmap(wanted, cells, grid, rules.overlap)
    counted = draw_counted(picture, view, objects, heatmap)
    if rules.enclosed:
        count_enclosed(counted, picture, wanted)
    samples = draw_samples(wanted, cells, view, rules, random)
    own = np.unique(samples.owner, return_index=True)[1]
    return Batch(
        pixels=torch.from_numpy(view.place_pixels(scene.pixels))[None],
        heatmap=torch.from_numpy(heatmap)[None],
        counted=torch.from_numpy(counted)[None],
        image=torch.zeros(len(wanted), dtype=torch.int64),
        label=torch.tensor([item.label for item in wanted], dtype=torch.int64),
        cell=torch.tensor(cells, dtype=torch.int64).reshape(-1, 2),
        size=torch.from_numpy(samples.size[own].astype(np.float32)),
        masked=torch.tensor([item.mask is not None for item in wanted], dtype=torch.bool),
        mask=torch.from_numpy(draw_masks(wanted, view, rules.resolution)),
        sample_object=torch.from_numpy(samples.owner),
        sample_cell=torch.from_numpy(samples.cell),
        sample_size=torch.from_numpy(samples.size.astype(np.float32)),
        sample_weight=torch.from_numpy(samples.weight.astype(np.float32)),
        sample_masked=torch.from_numpy(samples.masked),
    )


def place_object(annotation: Annotation, picture: Picture, view: View) -> PlacedObject:
    """The annotation on the canvas; its mask is decoded only if it is needed."""
    whole = view.place_box(annotation.box_xywh)
    visible = np.clip(whole, 0, [view.canvas.width, view.canvas.height] * 2)
    sides, whole_sides = visible[2:] - visible[:2], whole[2:] - whole[:2]
    enough = sides.min() >= MIN_SIDE and sides.prod() >= MIN_VISIBLE * whole_sides.prod()
    wanted = bool(enough) and not annotation.ignored
    needed = wanted or annotation.ignored
    mask = decode_counts(annotation.counts, picture.size) if needed and annotation.counts else None
    return PlacedObject(annotation.label, visible, mask, wanted)


def find_centre(item: PlacedObject, view: View, rules: TargetRules) -> Doubles:
    """The object's centre, float64 [2], canvas frame; the box's centre if no part of a mask is visible."""
    low, high = item.box_xyxy[:2], item.box_xyxy[2:]
    if rules.centre == "box" or item.mask is None:
        return (low + high) / 2
    centre = visible_mass(item.mask, view)
    return (low + high) / 2 if np.isnan(centre).any() else np.clip(centre, low, high)


def visible_mass(mask: Bitmap, view: View) -> Doubles:
    """Centre of mass of the mask's visible part: float64 [2], canvas frame; NaN if no part is visible."""
    corners = view.points_to_image(np.array([[0, 0], [view.canvas.width, view.canvas.height]], np.float64))
    limits = [view.image.width, view.image.height]
    left, top = np.clip(np.round(corners.min(axis=0)), 0, limits).astype(int)
    right, bottom = np.clip(np.round(corners.max(axis=0)), 0, limits).astype(int)
    inside = mass_centre(mask[top:bottom, left:right])
    return view.place_points(inside + np.array([left, top]))


def mass_centre(mask: Bitmap) -> Doubles:
    """Mean (x, y) of the mask's pixel centres: float64 [2], the mask's own frame; NaN for an empty mask."""
    columns, rows = mask.sum(axis=0, dtype=np.float64), mask.sum(axis=1, dtype=np.float64)
    area = columns.sum()
    if area == 0:
        return np.full(2, np.nan)
    x = columns @ (np.arange(len(columns)) + 0.5)
    y = rows @ (np.arange(len(rows)) + 0.5)
    return np.array([x / area, y / area])


def centre_cell(centre_xy_canvas: Doubles, canvas: Size) -> Cell:
    """The cell (i, j) that contains a point of the canvas."""
    j, i = (int(value // STRIDE) for value in centre_xy_canvas)
    return min(max(i, 0), canvas.height // STRIDE - 1), min(max(j, 0), canvas.width // STRIDE - 1)


def gaussian_radius(height: float, width: float, min_overlap: float) -> float:
    """The largest r for which a box keeps an IoU of `min_overlap` if its corners move by r (CornerNet, sec.
    3.3).

    The worst case is that both corners move inwards: (height - 2 r)(width - 2 r) = min_overlap * area. The
    shifted and the larger box always allow more, so that one root is enough. (CenterNet's roots are wrong:
    its radii are about three times as large.)

    >>> round(gaussian_radius(10, 10, 0.7), 3)
    0.817
    """
    half = (height + width) / 4
    return half - math.sqrt(half**2 - height * width * (1 - min_overlap) / 4)


def draw_gaussian(heat: npt.NDArray[np.float32], cell: Cell, radius: int) -> None:
    """Raises `heat` (float32 [h, w]) to a Gaussian with peak 1 at cell (i, j), sigma (2 radius + 1) / 6."""
    height, width = heat.shape
    i, j = cell
    rows = np.arange(max(0, i - radius), min(height, i + radius + 1))
    columns = np.arange(max(0, j - radius), min(width, j + radius + 1))
    sigma = (2 * radius + 1) / 6
    bell = np.exp(-((rows[:, None] - i) ** 2 + (columns - j) ** 2) / (2 * sigma * sigma))
    window = heat[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    np.maximum(window, bell, out=window)


def draw_heatmap(
    wanted: Sequence[PlacedObject], cells: Sequence[Cell], grid: tuple[int, int, int], overlap: float
) -> npt.NDArray[np.float32]:
    """float32 [h, w, C]: a Gaussian at each object's cell; overlapping ones take the maximum."""
    heatmap = np.zeros(grid, np.float32)
    for item, cell in zip(wanted, cells, strict=True):
        width, height = (item.box_xyxy[2:] - item.box_xyxy[:2]) / STRIDE
        draw_gaussian(heatmap[:, :, item.label], cell, int(gaussian_radius(height, width, overlap)))
    return heatmap


def draw_counted(
    picture: Picture, view: View, objects: Sequence[PlacedObject], heatmap: npt.NDArray[np.float32]
) -> npt.NDArray[np.bool_]:
    """bool [h, w, C]: the cells that are negatives unless an object's centre is there.

    An unlabelled label has negatives only around its labelled objects. Crowds, and objects that are too small
    or too far outside the canvas, give no negatives for their label.
    """
    counted = np.ones(heatmap.shape, bool)
    unlabelled = sorted(picture.unlabelled)
    counted[:, :, unlabelled] = heatmap[:, :, unlabelled] > 0
    for item in objects:
        if not item.wanted:
            counted[:, :, item.label] &= ~covered_cells(item, view)
    return counted


def count_enclosed(counted: npt.NDArray[np.bool_], picture: Picture, wanted: Sequence[PlacedObject]) -> None:
    """Sets `counted` for the picture's enclosed labels inside the boxes of its masked objects."""
    labels = sorted(picture.enclosed)
    for item in wanted:
        if item.mask is not None and labels:
            left, top, right, bottom = box_cells(item.box_xyxy)
            counted[top:bottom, left:right, labels] = True


def box_cells(box_xyxy: Doubles) -> list[int]:
    """The range of cells that a box touches: left, top, right, bottom, half-open."""
    low, high = np.floor(box_xyxy[:2] / STRIDE), np.ceil(box_xyxy[2:] / STRIDE)
    return [*map(int, low), *map(int, high)]


def covered_cells(item: PlacedObject, view: View) -> npt.NDArray[np.bool_]:
    """The cells that the object's mask covers, or its box if it has no mask: bool [h, w]."""
    if item.mask is not None:
        return view.sample_mask(item.mask, STRIDE) > 0
    covered = np.zeros((view.canvas.height // STRIDE, view.canvas.width // STRIDE), bool)
    left, top, right, bottom = box_cells(item.box_xyxy)
    covered[top:bottom, left:right] = True
    return covered


def draw_samples(
    wanted: Sequence[PlacedObject],
    cells: Sequence[Cell],
    view: View,
    rules: TargetRules,
    random: np.random.Generator,
) -> Samples:
    """The cells at which the objects' boxes and masks are learnt."""
    boxes = np.array([item.box_xyxy for item in wanted]).reshape(-1, 4)
    places = np.array(cells, np.int64).reshape(-1, 2)
    masked = np.array([item.mask is not None for item in wanted], bool)
    if not rules.dense:
        return single_samples(boxes, places, masked)
    samples = dense_samples(boxes, places, canvas=view.canvas, alpha=rules.dense)
    chosen = choose_mask_cells(samples, masked, count=rules.mask_cells, random=random)
    return replace(samples, masked=chosen)


def draw_masks(wanted: Sequence[PlacedObject], view: View, resolution: int) -> Bitmap:
    """uint8 [K, h * resolution, w * resolution]: the masks of the objects that have one."""
    cells = [side // STRIDE * resolution for side in (view.canvas.height, view.canvas.width)]
    masks = [view.sample_mask(item.mask, STRIDE / resolution) for item in wanted if item.mask is not None]
    return np.stack(masks) if masks else np.zeros((0, *cells), np.uint8)
