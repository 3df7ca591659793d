"""Cards of families that predict at every cell, anchor or place, and leave the selection to the decoder."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field, NonNegativeInt, PositiveInt

from service.inference.families.base import Comparison, Family, Shape
from service.types import Size

Crop: TypeAlias = Literal["pixels", "cells"]


class CentersDecoder(Family):
    """BlitzMask: an object per heatmap peak (BlitzMask, sec. 3.3)."""

    family: Literal["centers"] = "centers"
    score_threshold: float = Field(default=0.3, ge=0, le=1)
    max_instances: int = Field(default=100, ge=1, le=65_535)
    comparison: Comparison = ">="
    stride: int = Field(default=4, ge=1, le=256, description="canvas pixels per heatmap cell")
    coefficients: int = Field(
        default=32,
        ge=0,
        le=4096,
        description="K, the channels of the spanning set; 0 for a model of boxes only",
    )
    containment: float = Field(
        default=0.0,
        ge=0,
        le=8,
        description="power of the share of a mask inside its box, by which the peak's score is multiplied; "
        "0, as in the paper: the score is the peak's",
    )
    overlap: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="IoU of two boxes of a class above which only the better stays; 1, as in the paper: both",
    )

    @property
    def has_masks(self) -> bool:
        return self.coefficients > 0

    def output_shapes(self, canvas: Size, channels: int) -> dict[str, tuple[int, ...]]:
        """Shape of every head without the batch axis: (height, width, channels)."""
        cells = (canvas.height // self.stride, canvas.width // self.stride)
        counts = {"heatmap": channels, "size": 4}
        if self.coefficients:
            counts |= {"coefficients": self.coefficients, "spanning_set": self.coefficients}
        return {name: (*cells, count) for name, count in counts.items()}


class _Prototyped(Family):
    """The fields of families whose masks are combinations of prototypes, and whose boxes crop them."""

    predictions: str = Field(default="output0", description="the head with boxes, scores and coefficients")
    prototypes: str = Field(default="output1", description="the head with the prototypes")
    prototypes_last: bool = Field(
        default=False, description="True: the prototypes are [h, w, K], as in TFLite; False: [K, h, w]"
    )
    coefficients: int = Field(default=32, ge=1, le=4096, description="K, the number of prototypes")
    normalised: bool = Field(
        default=False, description="True: the boxes are in parts of the canvas; False: in canvas pixels"
    )
    crop: Crop = Field(
        default="pixels",
        description="pixels: the mask is interpolated, then cropped to the box; cells: the prototypes' cells "
        "are cropped first (YOLOv5)",
    )
    overlap: float = Field(
        default=0.7, gt=0, le=1, description="IoU of two boxes above which only the better stays"
    )

    def _prototype_shape(self) -> Shape:
        return (None, None, self.coefficients) if self.prototypes_last else (self.coefficients, None, None)


class YoloDecoder(_Prototyped):
    """Ultralytics' segmentation models and YOLOv5-seg without their NMS: a prediction for every anchor.

    A prediction is (centre x, centre y, width, height), the objectness if there is one, a score for each
    class, and K coefficients.
    """

    family: Literal["yolo"] = "yolo"
    objectness: bool = Field(
        default=False, description="YOLOv5: scores and coefficients are multiplied by the objectness"
    )
    anchors_last: bool = Field(
        default=True, description="True: the predictions are [values, anchors]; False: [anchors, values]"
    )
    candidates: int = Field(
        default=30_000, ge=1, le=1_000_000, description="the most predictions that NMS compares, best first"
    )

    def output_shapes(self, canvas: Size, channels: int) -> dict[str, Shape]:
        values = 4 + self.objectness + channels + self.coefficients
        shape = (values, None) if self.anchors_last else (None, values)
        return {self.predictions: shape, self.prototypes: self._prototype_shape()}


class RowsDecoder(_Prototyped):
    """Models that end with NMS or need none: rows of (x1, y1, x2, y2, score, class, K coefficients).

    Rows of zeros fill the list up. `overlap` is used only where a caller asks for NMS over all classes.
    """

    family: Literal["rows"] = "rows"

    @property
    def listed(self) -> tuple[str, ...]:
        return (self.predictions,)

    def output_shapes(self, canvas: Size, channels: int) -> dict[str, Shape]:
        return {
            self.predictions: (None, 6 + self.coefficients),
            self.prototypes: self._prototype_shape(),
        }


class PrototypesDecoder(Family):
    """YOLACT without its Fast NMS: a prediction for every prior box.

    Channel 0 of the class scores is the background.
    """

    family: Literal["prototypes"] = "prototypes"
    max_instances: int = Field(default=100, ge=1, le=65_535)
    offsets: str = Field(default="loc", description="the head with the offsets from the priors, [A, 4]")
    scores: str = Field(default="conf", description="the head with the probabilities of the classes, [A, C]")
    weights: str = Field(default="mask", description="the head with the weights of the prototypes, [A, K]")
    priors: str = Field(default="priors", description="the head with the prior boxes, [A, 4]")
    prototypes: str = Field(default="proto", description="the head with the prototypes, [h, w, K]")
    coefficients: int = Field(default=32, ge=1, le=4096, description="K, the number of prototypes")
    candidate_score: float = Field(default=0.05, ge=0, le=1, description="a box needs a better score")
    candidates: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="the most boxes of a class that Fast NMS compares",
    )
    overlap: float = Field(default=0.5, gt=0, le=1, description="IoU above which the worse box goes")

    def output_shapes(self, canvas: Size, channels: int) -> Mapping[str, Shape]:
        return {
            self.offsets: (None, 4),
            self.scores: (None, channels),
            self.weights: (None, self.coefficients),
            self.priors: (None, 4),
            self.prototypes: (None, None, self.coefficients),
        }


class KernelsDecoder(Family):
    """SOLOv2 without its matrix NMS: class scores and a kernel for every place of some grids."""

    family: Literal["kernels"] = "kernels"
    max_instances: int = Field(default=100, ge=1, le=65_535)
    comparison: Comparison = ">="
    scores: str = Field(
        default="scores", description="the head with the scores between 0 and 1, local maxima only, [A, C]"
    )
    kernels: str = Field(default="kernels", description="the head with the kernels, [A, E]")
    features: str = Field(default="features", description="the head with the shared features, [E, h, w]")
    channels: int = Field(default=256, ge=1, le=4096, description="E, the channels of the features")
    grids: tuple[tuple[PositiveInt, NonNegativeInt], ...] = Field(
        default=((40, 8), (36, 8), (24, 16), (16, 32), (12, 32)),
        min_length=1,
        description="of each grid, the places each way, and the number of cells that its masks exceed",
    )
    candidate_score: float = Field(default=0.1, ge=0, le=1, description="a place needs a better class score")
    candidates: int = Field(default=500, ge=1, le=5000, description="the most masks in matrix NMS")
    mask_level: float = Field(default=0.5, ge=0, le=1, description="of the mask's probabilities")
    sigma: float = Field(default=2.0, gt=0, description="sharpness of matrix NMS")

    def output_shapes(self, canvas: Size, channels: int) -> Mapping[str, Shape]:
        places = sum(side**2 for side, _ in self.grids)
        return {
            self.scores: (places, channels),
            self.kernels: (places, self.channels),
            self.features: (self.channels, None, None),
        }
