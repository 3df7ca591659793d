"""A picture in a view, with everything the network should say about it (BlitzMask, sec. 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from training.annotations import Annotation, Bitmap, Picture, decode_counts
from training.augment import View
from training.batch import Batch
from training.copy_paste import Scene
from training.samples import Samples, choose_mask_cells, dense_samples, single_samples
from training.targets import (
    STRIDE,
    centre_cell,
    draw_gaussian,
    gaussian_radius,
    mass_centre,
)

CentreKind = Literal["mass", "box"]
MIN_SIDE = 3.0  # canvas pixels; a smaller object is neither asked for nor forbidden
MIN_VISIBLE = 0.25  # of its box; an object cropped to less is neither asked for nor forbidden

Cell = tuple[int, int]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TargetRules:
    """How ground truth is drawn.

    centre: of mass of the mask (sec. 4.3) or of the box.
    overlap: of `gaussian_radius`.
    dense: alpha of TTFNet's Gaussian of cells at which sizes are learnt, see `samples`; 0 for the centre's
    cell alone, as in the paper.
    enclosed: in pictures with no complete label, background inside a labelled object counts, see
    `Picture.enclosed`.
    resolution: cells of the mask per cell of the heatmap, along each side.
    mask_cells: cells of an object at which its mask is learnt.
    """

    centre: CentreKind = "mass"
    overlap: float = 0.7
    dense: float = 0.0
    enclosed: bool = False
    resolution: int = 1
    mask_cells: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class PlacedObject:
    """An annotation in a view.

    box_xyxy: float64 [4], canvas frame, clipped to the canvas. mask: in the image frame, None where unknown.
    wanted: the network should find it; what it need not find it is not blamed for finding.
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
        count_enclosed(counted, picture, objects)
    samples = draw_samples(wanted, cells, view, rules, random)
    own = np.flatnonzero(np.append(True, np.diff(samples.owner) > 0)[: len(samples.owner)])
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


def draw_samples(
    wanted: Sequence[PlacedObject],
    cells: Sequence[Cell],
    view: View,
    rules: TargetRules,
    random: np.random.Generator,
) -> Samples:
    """The cells at which the objects' sizes and masks are learnt."""
    boxes = np.array([item.box_xyxy for item in wanted]).reshape(-1, 4)
    places = np.array(cells, np.int64).reshape(-1, 2)
    masked = np.array([item.mask is not None for item in wanted], bool)
    if not rules.dense:
        return single_samples(boxes, places, masked)
    samples = dense_samples(boxes, places, canvas=view.canvas, alpha=rules.dense)
    chosen = choose_mask_cells(samples, masked, count=rules.mask_cells, random=random)
    return replace(samples, masked=chosen)


def place_object(annotation: Annotation, picture: Picture, view: View) -> PlacedObject:
    """The annotation as it is seen in the view, its mask decoded only where something is drawn from it."""
    whole = view.place_box(annotation.box_xywh)
    visible = np.clip(whole, 0, [view.canvas.width, view.canvas.height] * 2)
    sides, whole_sides = visible[2:] - visible[:2], whole[2:] - whole[:2]
    enough = sides.min() >= MIN_SIDE and sides.prod() >= MIN_VISIBLE * whole_sides.prod()
    wanted = bool(enough) and not annotation.ignored
    useful = wanted or annotation.ignored
    mask = decode_counts(annotation.counts, picture.size) if useful and annotation.counts else None
    return PlacedObject(annotation.label, visible, mask, wanted)


def find_centre(item: PlacedObject, view: View, rules: TargetRules) -> Doubles:
    """The object's centre, float64 [2] in the canvas frame: the box's where no mask is to be seen."""
    low, high = item.box_xyxy[:2], item.box_xyxy[2:]
    if rules.centre == "box" or item.mask is None:
        return (low + high) / 2
    centre = visible_mass(item.mask, view)
    return (low + high) / 2 if np.isnan(centre).any() else np.clip(centre, low, high)


def visible_mass(mask: Bitmap, view: View) -> Doubles:
    """Mass centre of the part of a mask that is on the canvas: float64 [2], canvas frame; NaN if none is."""
    corners = view.points_to_image(np.array([[0, 0], [view.canvas.width, view.canvas.height]], np.float64))
    limits = [view.image.width, view.image.height]
    left, top = np.clip(np.round(corners.min(axis=0)), 0, limits).astype(int)
    right, bottom = np.clip(np.round(corners.max(axis=0)), 0, limits).astype(int)
    inside = mass_centre(mask[top:bottom, left:right])
    return view.place_points(inside + np.array([left, top]))


def draw_heatmap(
    wanted: Sequence[PlacedObject], cells: Sequence[Cell], grid: tuple[int, int, int], overlap: float
) -> npt.NDArray[np.float32]:
    """float32 [h, w, C]: of each object a Gaussian at its cell; where two meet, the higher."""
    heatmap = np.zeros(grid, np.float32)
    for item, cell in zip(wanted, cells, strict=True):
        width, height = (item.box_xyxy[2:] - item.box_xyxy[:2]) / STRIDE
        draw_gaussian(heatmap[:, :, item.label], cell, int(gaussian_radius(height, width, overlap)))
    return heatmap


def draw_counted(
    picture: Picture, view: View, objects: Sequence[PlacedObject], heatmap: npt.NDArray[np.float32]
) -> npt.NDArray[np.bool_]:
    """bool [h, w, C]: where something other than a centre would be wrong.

    Not for labels the picture is silent about, except around those objects of theirs that it does show; nor
    where there is a crowd, or an object too small or too far off the canvas to be asked for.
    """
    counted = np.ones(heatmap.shape, bool)
    silent = sorted(picture.silent)
    counted[:, :, silent] = heatmap[:, :, silent] > 0
    for item in objects:
        if not item.wanted:
            counted[:, :, item.label] &= ~covered_cells(item, view)
    return counted


def count_enclosed(counted: npt.NDArray[np.bool_], picture: Picture, objects: Sequence[PlacedObject]) -> None:
    """Makes the background inside the boxes of masked objects count for the picture's enclosed labels."""
    labels = sorted(picture.enclosed)
    for item in objects:
        if item.wanted and item.mask is not None and labels:
            left, top = np.floor(item.box_xyxy[:2] / STRIDE).astype(int)
            right, bottom = np.ceil(item.box_xyxy[2:] / STRIDE).astype(int)
            counted[top:bottom, left:right, labels] = True


def covered_cells(item: PlacedObject, view: View) -> npt.NDArray[np.bool_]:
    """The cells of the heatmap that the object's mask, or else its box, covers: bool [h, w]."""
    if item.mask is not None:
        return view.sample_mask(item.mask, STRIDE) > 0
    covered = np.zeros((view.canvas.height // STRIDE, view.canvas.width // STRIDE), bool)
    left, top = np.floor(item.box_xyxy[:2] / STRIDE).astype(int)
    right, bottom = np.ceil(item.box_xyxy[2:] / STRIDE).astype(int)
    covered[top:bottom, left:right] = True
    return covered


def draw_masks(wanted: Sequence[PlacedObject], view: View, resolution: int) -> Bitmap:
    """uint8 [K, h * resolution, w * resolution], of the objects whose mask is known."""
    cells = [side // STRIDE * resolution for side in (view.canvas.height, view.canvas.width)]
    masks = [view.sample_mask(item.mask, STRIDE / resolution) for item in wanted if item.mask is not None]
    return np.stack(masks) if masks else np.zeros((0, *cells), np.uint8)
