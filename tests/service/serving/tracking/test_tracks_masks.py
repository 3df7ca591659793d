"""Identities by the overlap of masks."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from pycocotools import mask as coco

from service.serving.tracking import TrackPolicy
from service.types import Rle
from tests.service.serving.tracking.scene import IMAGE, Frame, Thing, identify


def columns(numbers: Iterable[int]) -> Rle:
    """A mask of whole columns between rows 100 and 120."""
    mask = np.zeros((IMAGE.height, IMAGE.width), np.uint8, order="F")
    mask[100:120, list(numbers)] = 1
    return Rle(IMAGE, coco.encode(mask)["counts"].decode())


def entangled(frames: int) -> list[Frame]:
    """Two things in one box whose scores take turns at being the better one, and whose boxes shake."""
    odd, even = Thing(50, mask=columns(range(51, 90, 2))), Thing(50, mask=columns(range(50, 90, 2)))
    return [
        [replace(odd, x=50 + n % 2, score=0.8), replace(even, x=51 - n % 2, score=0.7 + 0.2 * (n % 2))]
        for n in range(frames)
    ]


def test_masks_tell_apart_what_boxes_cannot() -> None:
    by_mask = identify(entangled(12), TrackPolicy(overlap="mask"))
    assert len(set(by_mask[1:])) == 1
    assert len(set(identify(entangled(12))[1:])) == 2


def test_masks_move_with_their_things() -> None:
    def bar(x: int) -> list[Thing]:
        return [Thing(x, width=10, mask=columns(range(x, x + 10)))]

    speeding_up = [bar(x) for x in (18, 20, 24, 30, 38, 47, 56, 65, 74)]
    assert identify(speeding_up, TrackPolicy(overlap="mask"))[1:] == [(1,)] * 8
