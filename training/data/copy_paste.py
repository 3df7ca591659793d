"""Copy-paste augmentation: objects of one picture are pasted into another (Ghiasi et al., CVPR 2021, sec. 3).

It maps pictures to pictures, so that the steps that follow it do not depend on it.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from service.types import Pixels, Size
from training.data.annotations import Annotation, Picture
from training.data.augment import Augmentation, CopyPaste, draw_view
from training.data.masks import Bitmap, decode_counts

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
