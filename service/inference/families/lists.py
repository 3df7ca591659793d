"""Cards of families whose instances come with masks of their own: queries, and final lists."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field

from service.inference.families.base import Family, Shape
from service.types import Extent, Size

Activation: TypeAlias = Literal["sigmoid", "softmax", "none"]
Background: TypeAlias = Literal["none", "first", "last"]


class QueriesDecoder(Family):
    """A fixed number of queries, each with class scores, a mask over the canvas, and maybe a box.

    RF-DETR, DETR, Mask2Former, K-Net, SparseInst.
    """

    family: Literal["queries"] = "queries"
    max_instances: int = Field(default=100, ge=1, le=65_535)
    scores: str = Field(default="labels", description="the head with the class scores, [queries, classes]")
    boxes: str | None = Field(
        default="dets",
        description="the head with (centre x, centre y, width, height) in parts of the canvas; None: the box "
        "is the extent of the mask",
    )
    masks: str = Field(default="masks", description="the head with the masks, [queries, h, w]")
    activation: Activation = Field(
        default="sigmoid", description="makes scores of the values; none: the graph has done it"
    )
    background: Background = Field(
        default="none", description="the channel of the scores that means that there is no object"
    )
    one_class: bool = Field(
        default=False, description="True: a query has its best class only; False: any number of classes"
    )
    mask_values: Literal["logits", "probabilities"] = "logits"
    mask_level: float = Field(default=0.0, description="a pixel belongs to the mask above this value")
    maskness: bool = Field(
        default=False, description="the score is multiplied by the mean probability of the mask's cells"
    )
    maskness_side: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="the pixels each way to which the masks are interpolated for `maskness`, and from which "
        "they are enlarged without interpolation (Mask2Former: 384); None: neither",
    )

    def output_shapes(self, canvas: Size, channels: int) -> Mapping[str, Shape]:
        shapes: dict[str, Shape] = {
            self.scores: (None, channels + (self.background == "last")),
            self.masks: (None, None, None),
        }
        return shapes if self.boxes is None else {**shapes, self.boxes: (None, 4)}


class ListDecoder(Family):
    """The fields of families whose graph ends with a list of instances."""

    max_instances: int = Field(default=100, ge=1, le=65_535)
    labels: str = Field(default="labels", description="the head with the number of each class, [n]")
    masks: str = Field(default="masks", description="the head with the masks, [n, h, w] or [n, 1, h, w]")
    mask_level: float = Field(default=0.5, description="a pixel belongs to the mask above this value")

    @property
    def numbers_classes(self) -> bool:
        return True

    def check_outputs(self, outputs: Mapping[str, Shape], canvas: Size, channels: int) -> None:
        masks = outputs.get(self.masks, ())
        if len(masks) == 4 and masks[1] == 1:
            outputs = {**outputs, self.masks: (masks[0], *masks[2:])}
        super().check_outputs(outputs, canvas, channels)


class BoxesMasksDecoder(ListDecoder):
    """A final list of boxes, labels, scores and masks: Mask R-CNN, RTMDet-Ins of mmdeploy."""

    family: Literal["boxes_masks"] = "boxes_masks"
    boxes: str = Field(
        default="boxes", description="the head with the boxes, (x1, y1, x2, y2) in canvas pixels, [n, 4]"
    )
    scores: str | None = Field(
        default="scores", description="the head with the scores, [n]; None: they are column 4 of the boxes"
    )
    extent: Extent = Field(
        default="pixels",
        description="the part of the image that a mask covers: canvas, all of it; box, exactly its box "
        "(detectron2, mmdet); pixels, its box in whole pixels (torchvision)",
    )

    @property
    def listed(self) -> tuple[str, ...]:
        return tuple(self.output_shapes(Size(1, 1), 1))

    def output_shapes(self, canvas: Size, channels: int) -> Mapping[str, Shape]:
        shapes: dict[str, Shape] = {
            self.boxes: (None, 5 if self.scores is None else 4),
            self.labels: (None,),
            self.masks: (None, None, None),
        }
        return shapes if self.scores is None else {**shapes, self.scores: (None,)}


class MaskListDecoder(ListDecoder):
    """A final list of masks, labels and scores without boxes: exports of SOLOv2 or CondInst."""

    family: Literal["mask_list"] = "mask_list"
    scores: str = Field(default="scores", description="the head with the scores, [n]")

    @property
    def listed(self) -> tuple[str, ...]:
        return self.labels, self.masks, self.scores

    def output_shapes(self, canvas: Size, channels: int) -> Mapping[str, Shape]:
        return {self.labels: (None,), self.masks: (None, None, None), self.scores: (None,)}
