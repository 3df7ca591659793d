"""The families of networks that the service decodes, as a card describes them: one class for each.

A class names the graph's outputs and the numbers of its decoder, which is in `service.inference.decoding`
under the same `family`. CONTRIBUTING.md says how to add a family.
"""

from typing import Annotated, TypeAlias

from pydantic import Field

from service.inference.families.base import Comparison, Family, Frozen, Shape, shape_fits
from service.inference.families.dense import (
    CentersDecoder,
    Crop,
    KernelsDecoder,
    PrototypesDecoder,
    RowsDecoder,
    YoloDecoder,
)
from service.inference.families.lists import (
    Activation,
    BoxesMasksDecoder,
    ListDecoder,
    MaskListDecoder,
    QueriesDecoder,
)

__all__ = [
    "Activation",
    "BoxesMasksDecoder",
    "CentersDecoder",
    "Comparison",
    "Crop",
    "Decoder",
    "Family",
    "Frozen",
    "KernelsDecoder",
    "ListDecoder",
    "MaskListDecoder",
    "PrototypesDecoder",
    "QueriesDecoder",
    "RowsDecoder",
    "Shape",
    "YoloDecoder",
    "shape_fits",
]

Decoder: TypeAlias = Annotated[
    CentersDecoder
    | YoloDecoder
    | RowsDecoder
    | QueriesDecoder
    | BoxesMasksDecoder
    | MaskListDecoder
    | PrototypesDecoder
    | KernelsDecoder,
    Field(discriminator="family"),
]
