"""The families of networks that the service decodes, as a card describes them: one class for each.

A class names the graph's outputs and the numbers of its decoder, which is in `service.inference.decoding`
under the same `family`. To add a family, add its class here and to `Decoder`, and its function there.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from service.types import Size

Shape: TypeAlias = tuple[int | None, ...]  # of a head without the batch axis; None: a free extent
Comparison: TypeAlias = Literal[">", ">="]
Crop: TypeAlias = Literal["pixels", "cells"]


class Frozen(BaseModel):
    """A part of a card: unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Family(Frozen):
    """The fields of every decoder."""

    family: str
    score_threshold: float = Field(default=0.25, ge=0, le=1)
    max_instances: int = Field(default=300, ge=1, le=65_535)  # a label map numbers them in 16 bits
    comparison: Comparison = Field(
        default=">", description="of a score with the threshold: an instance stays where it is true"
    )

    @property
    def has_masks(self) -> bool:
        """False for a model of boxes only."""
        return True

    @property
    def listed(self) -> tuple[str, ...]:
        """The heads whose rows are instances, best first; the self-test samples only their first row."""
        return ()

    def output_shapes(self, canvas: Size, channels: int) -> Mapping[str, Shape]:
        """Shape of every head without the batch axis; None where the decoder accepts any extent."""
        raise NotImplementedError

    def check_outputs(self, outputs: Mapping[str, Shape], canvas: Size, channels: int) -> None:
        """Raises ValueError where the graph's outputs are not those of the family.

        channels: of class scores, with those that have no label.
        """
        expected = self.output_shapes(canvas, channels)
        if outputs.keys() != expected.keys() or not all(
            shape_fits(outputs[name], shape) for name, shape in expected.items()
        ):
            raise ValueError(
                f"outputs {dict(outputs)} do not fit input, labels and decoder, which give {expected}"
            )


def shape_fits(found: Shape, expected: Shape) -> bool:
    """True where the ranks are equal, and every extent that is expected; None expects nothing.

    >>> shape_fits((300, 38), (None, 38)), shape_fits((38, 300), (None, 38))
    (True, False)
    """
    return len(found) == len(expected) and all(
        wanted is None or extent == wanted for extent, wanted in zip(found, expected, strict=True)
    )


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


Decoder: TypeAlias = Annotated[CentersDecoder | YoloDecoder | RowsDecoder, Field(discriminator="family")]
