"""The shapes of heads that the card classes of the families accept and refuse."""

from collections.abc import Mapping

import pytest

from service.inference.families import (
    BoxesMasksDecoder,
    Family,
    KernelsDecoder,
    MaskListDecoder,
    PrototypesDecoder,
    QueriesDecoder,
    Shape,
)
from service.types import Size

CHANNELS = 3

ACCEPTED: list[tuple[Family, Mapping[str, Shape]]] = [
    (QueriesDecoder(), {"labels": (100, 3), "dets": (100, 4), "masks": (100, 78, 78)}),
    (QueriesDecoder(background="last"), {"labels": (100, 4), "dets": (100, 4), "masks": (100, 78, 78)}),
    (QueriesDecoder(background="first"), {"labels": (100, 3), "dets": (100, 4), "masks": (100, 78, 78)}),
    (QueriesDecoder(boxes=None), {"labels": (100, 3), "masks": (100, 78, 78)}),
    (
        BoxesMasksDecoder(),
        {"boxes": (None, 4), "labels": (None,), "scores": (None,), "masks": (None, 1, 28, 28)},
    ),
    (BoxesMasksDecoder(), {"boxes": (9, 4), "labels": (9,), "scores": (9,), "masks": (9, 28, 28)}),
    (
        BoxesMasksDecoder(boxes="dets", scores=None),
        {"dets": (None, 5), "labels": (None,), "masks": (None, 640, 640)},
    ),
    (MaskListDecoder(), {"labels": (None,), "scores": (None,), "masks": (None, None, None)}),
    (
        PrototypesDecoder(),
        {"loc": (9, 4), "conf": (9, 3), "mask": (9, 32), "priors": (9, 4), "proto": (138, 138, 32)},
    ),
    (
        KernelsDecoder(channels=5, grids=((2, 1), (1, 1))),
        {"scores": (5, 3), "kernels": (5, 5), "features": (5, 9, 9)},
    ),
]
REFUSED: list[tuple[Family, Mapping[str, Shape]]] = [
    (QueriesDecoder(), {"labels": (100, 4), "dets": (100, 4), "masks": (100, 78, 78)}),
    (QueriesDecoder(boxes=None), {"labels": (100, 3), "dets": (100, 4), "masks": (100, 78, 78)}),
    (QueriesDecoder(), {"labels": (100, 3), "dets": (100, 4)}),
    (BoxesMasksDecoder(), {"boxes": (9, 5), "labels": (9,), "scores": (9,), "masks": (9, 28, 28)}),
    (BoxesMasksDecoder(), {"boxes": (9, 4), "labels": (9,), "scores": (9,), "masks": (9, 3, 28, 28)}),
    (MaskListDecoder(), {"labels": (9, 3), "scores": (9,), "masks": (9, 28, 28)}),
    (
        KernelsDecoder(channels=5, grids=((2, 1),)),
        {"scores": (5, 3), "kernels": (5, 5), "features": (5, 9, 9)},
    ),
]


@pytest.mark.parametrize(("family", "outputs"), ACCEPTED)
def test_the_heads_of_a_family_are_accepted(family: Family, outputs: Mapping[str, Shape]) -> None:
    family.check_outputs(outputs, Size(312, 312), CHANNELS)


@pytest.mark.parametrize(("family", "outputs"), REFUSED)
def test_other_heads_are_refused(family: Family, outputs: Mapping[str, Shape]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        family.check_outputs(outputs, Size(312, 312), CHANNELS)
