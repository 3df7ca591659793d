"""Random geometry (flip, scale, crop) and colour changes, from a picture to the network's canvas.

Copy-paste puts objects of one picture into another (Ghiasi et al., CVPR 2021, sec. 3). It maps pictures to
pictures, so that the steps that follow it do not depend on it.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from service.types import Pixels, Size
from training.data.annotations import Annotation, Picture
from training.data.masks import Bitmap, decode_counts

FILL = 127  # the same grey as the service's letterbox


@dataclass(frozen=True, slots=True)
class View:
    """The place of a picture on a canvas: it is mirrored or not, resized, then moved by the offsets.

    Offsets are canvas pixels and may be negative; parts outside the canvas are cropped.
    """

    image: Size
    canvas: Size
    resized: Size
    offset_x: int = 0
    offset_y: int = 0
    mirrored: bool = False

    @property
    def scale_x(self) -> float:
        return self.resized.width / self.image.width

    @property
    def scale_y(self) -> float:
        return self.resized.height / self.image.height

    def place_pixels(self, pixels: Pixels) -> Pixels:
        """The canvas: uint8 [H, W, 3]."""
        shrinks = self.scale_x < 1 and self.scale_y < 1
        resized = cv2.resize(
            pixels[:, ::-1] if self.mirrored else pixels,
            (self.resized.width, self.resized.height),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        canvas = np.full((self.canvas.height, self.canvas.width, 3), FILL, np.uint8)
        rows, rows_from = _overlap(self.resized.height, self.canvas.height, self.offset_y)
        columns, columns_from = _overlap(self.resized.width, self.canvas.width, self.offset_x)
        canvas[rows, columns] = resized[rows_from, columns_from]
        return canvas

    def place_points(self, points_xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Points of the image frame in the canvas frame: float64 [..., 2]."""
        x, y = points_xy[..., 0], points_xy[..., 1]
        x = self.image.width - x if self.mirrored else x
        return np.stack([x * self.scale_x + self.offset_x, y * self.scale_y + self.offset_y], axis=-1)

    def points_to_image(self, points_xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The inverse of `place_points`."""
        x = (points_xy[..., 0] - self.offset_x) / self.scale_x
        y = (points_xy[..., 1] - self.offset_y) / self.scale_y
        return np.stack([self.image.width - x if self.mirrored else x, y], axis=-1)

    def place_box(self, box_xywh: tuple[float, float, float, float]) -> npt.NDArray[np.float64]:
        """A box of the image frame as xyxy in the canvas frame, not clipped: float64 [4]."""
        x, y, width, height = box_xywh
        first, second = self.place_points(np.array([[x, y], [x + width, y + height]]))
        return np.concatenate([np.minimum(first, second), np.maximum(first, second)])

    def sample_mask(self, mask: npt.NDArray[np.uint8], cell: float) -> npt.NDArray[np.uint8]:
        """The mask at the centres of cells `cell` canvas pixels wide: uint8 [H / cell, W / cell], 0 or 1."""
        height, width = round(self.canvas.height / cell), round(self.canvas.width / cell)
        side = (np.arange(max(height, width)) + 0.5) * cell
        columns, rows = np.floor(self.points_to_image(np.stack([side, side], axis=-1))).astype(int).T
        rows, columns = rows[:height], columns[:width]
        seen_rows = (rows >= 0) & (rows < self.image.height)
        seen_columns = (columns >= 0) & (columns < self.image.width)
        sampled = np.zeros((height, width), np.uint8)
        sampled[np.ix_(seen_rows, seen_columns)] = mask[np.ix_(rows[seen_rows], columns[seen_columns])]
        return sampled


def _overlap(length: int, room: int, offset: int) -> tuple[slice, slice]:
    """The intersection of [offset, offset + length) and [0, room), from 0 and from `offset`."""
    start, stop = max(0, offset), max(0, min(room, offset + length))
    stop = max(stop, start)
    return slice(start, stop), slice(start - offset, stop - offset)


@dataclass(frozen=True, slots=True)
class CopyPaste:
    """share: of the pictures that get pasted objects. most: objects pasted at a time."""

    share: float = 0.5
    most: int = 4
    scale: tuple[float, float] = (0.5, 1.5)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The ranges of random changes; the paper has scale 0.25 to 4 and aspect 0.5 to 2 (sec. 4.1).

    paste: objects of other pictures are pasted in; None: they are not.
    """

    flip: bool = True
    scale: tuple[float, float] = (0.5, 1.6)
    aspect: tuple[float, float] = (0.8, 1.25)
    brightness: float = 0.15
    contrast: float = 0.2
    saturation: float = 0.3
    hue: float = 6.0
    paste: CopyPaste | None = None


def fit_view(image: Size, canvas: Size) -> View:
    """The service's letterbox: aspect kept, top left."""
    ratio = min(canvas.height / image.height, canvas.width / image.width)
    return View(image, canvas, _scale_size(image, ratio, ratio))


def draw_view(image: Size, canvas: Size, augmentation: Augmentation, random: np.random.Generator) -> View:
    """A random view: a random crop if the picture is larger than the canvas, else a random place on it.

    A scale of 1 is the scale of the service's letterbox.
    """
    fit = min(canvas.height / image.height, canvas.width / image.width)
    scale = np.exp(random.uniform(*np.log(augmentation.scale)))
    stretch = np.exp(random.uniform(*np.log(augmentation.aspect)) / 2)
    resized = _scale_size(image, fit * scale / stretch, fit * scale * stretch)
    room_x, room_y = canvas.width - resized.width, canvas.height - resized.height
    return View(
        image,
        canvas,
        resized,
        offset_x=int(random.integers(min(0, room_x), max(0, room_x) + 1)),
        offset_y=int(random.integers(min(0, room_y), max(0, room_y) + 1)),
        mirrored=augmentation.flip and bool(random.random() < 0.5),
    )


def _scale_size(size: Size, vertical: float, horizontal: float) -> Size:
    return Size(max(1, round(size.height * vertical)), max(1, round(size.width * horizontal)))


def change_colours(pixels: Pixels, augmentation: Augmentation, random: np.random.Generator) -> Pixels:
    """Random brightness, contrast, saturation and hue: uint8 [H, W, 3]."""
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    turn = round(random.uniform(-augmentation.hue, augmentation.hue))
    saturation = 1 + random.uniform(-augmentation.saturation, augmentation.saturation)
    contrast = 1 + random.uniform(-augmentation.contrast, augmentation.contrast)
    brightness = 255 * random.uniform(-augmentation.brightness, augmentation.brightness)
    levels = np.arange(256)
    hue_table = ((levels + turn) % 180).astype(np.uint8)
    saturation_table = np.clip(levels * saturation, 0, 255).astype(np.uint8)
    value_table = np.clip((levels - 127) * contrast + 127 + brightness, 0, 255).astype(np.uint8)
    table = np.stack([hue_table, saturation_table, value_table], axis=-1)[None]
    return cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB).astype(np.uint8, copy=False)


MIN_AREA = 64  # pixels; smaller objects are not pasted, and smaller rests of covered objects are dropped
MIN_SHARE = 0.1  # an object with a smaller visible share of its mask counts as hidden


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A picture and its image, uint8 [H, W, 3]."""

    picture: Picture
    pixels: Pixels


def paste_objects(scene: Scene, donor: Scene, rules: CopyPaste, random: np.random.Generator) -> Scene:
    """The scene with some of the donor's objects pasted over it.

    Only objects with masks are pasted. An object is dropped if too little of it stays visible. The visible
    part of an object without a mask is unknown, so that it becomes `ignored`.
    """
    cuttings = cut_objects(donor, scene.picture.size, rules, random)
    if not cuttings.annotations:
        return scene
    annotations = [
        hide_object(item, scene.picture.size, cuttings.covered) for item in scene.picture.annotations
    ]
    kept = tuple(item for item in annotations if item is not None)
    pixels = np.where(cuttings.covered[:, :, None] > 0, cuttings.pixels, scene.pixels)
    return Scene(replace(scene.picture, annotations=kept + cuttings.annotations), pixels)


@dataclass(frozen=True, slots=True, eq=False)
class Cuttings:
    """Objects to paste, in the frame of the target picture; covered: the union of their masks."""

    annotations: tuple[Annotation, ...]
    pixels: Pixels
    covered: Bitmap


def cut_objects(donor: Scene, size: Size, rules: CopyPaste, random: np.random.Generator) -> Cuttings:
    """Some of the donor's objects under one random flip, scale and shift."""
    candidates = [item for item in donor.picture.annotations if item.counts and not item.ignored]
    order = random.permutation(len(candidates))[: random.integers(1, rules.most + 1)]
    whole = Augmentation(scale=rules.scale, aspect=(1.0, 1.0))
    view = draw_view(donor.picture.size, size, whole, random)
    covered = np.zeros((size.height, size.width), np.uint8)
    annotations = []
    for number in order:
        item = candidates[number]
        assert item.counts is not None
        mask = view.sample_mask(decode_counts(item.counts, donor.picture.size), cell=1) & ~covered
        if mask.sum() >= MIN_AREA:
            annotations.append(outline_object(item, mask))
            covered |= mask
    return Cuttings(tuple(annotations), view.place_pixels(donor.pixels), covered)


def hide_object(annotation: Annotation, size: Size, covered: Bitmap) -> Annotation | None:
    """The visible part of an object under the pasted ones; None if it is too small."""
    x, y, width, height = annotation.box_xywh
    top, left = max(0, int(y)), max(0, int(x))
    if not covered[top : int(np.ceil(y + height)), left : int(np.ceil(x + width))].any():
        return annotation
    if annotation.counts is None:
        return replace(annotation, ignored=True)
    mask = decode_counts(annotation.counts, size)
    rest = mask & ~covered
    if rest.sum() == mask.sum():
        return annotation
    hidden = rest.sum() < max(MIN_AREA, MIN_SHARE * mask.sum())
    return None if hidden else outline_object(annotation, rest)


def outline_object(annotation: Annotation, mask: Bitmap) -> Annotation:
    """The annotation with this mask, uint8 [H, W] of 0 and 1, and the box around it."""
    counts = bytes(coco_mask.encode(np.asfortranarray(mask))["counts"])
    x, y, width, height = map(float, cv2.boundingRect(mask))
    return replace(annotation, box_xywh=(x, y, width, height), counts=counts)
