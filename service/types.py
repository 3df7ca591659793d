"""The data types that all parts of the service share.

Frames. *Image frame*: pixels of the picture as it is meant to be seen (EXIF orientation applied), origin at
the top-left corner of the top-left pixel, so that pixel (row 0, column 0) covers [0, 1) x [0, 1). *Canvas
frame*: the same convention on the network's input. Boxes are half-open float `xyxy` in one of the two.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import supervision

    from service.inference.interchange import Masks

Pixels: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Heads: TypeAlias = Mapping[str, Floats]

Precision: TypeAlias = Literal["fp32", "fp16", "int8", "bf16"]  # in which an answer is computed
MaskFormat: TypeAlias = Literal["rle", "rle_crop", "polygon", "contour", "none"]
Nms: TypeAlias = Literal["class", "all"]
Window: TypeAlias = Literal["none", "centres", "corners"]
Extent: TypeAlias = Literal["canvas", "box", "pixels"]

Tiles: TypeAlias = int | Literal["auto"]

TOLERANCE = 1.0  # pixels by which a contour may leave the edge of its mask, where nobody says otherwise


@dataclass(frozen=True, slots=True)
class Size:
    """Extent in pixels (or cells)."""

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"a size needs at least one pixel each way, got {self.height} x {self.width}")

    @property
    def pixels(self) -> int:
        return self.height * self.width


@dataclass(frozen=True, slots=True)
class Placement:
    """An image on the canvas: resized to `placed`, with its top-left corner at (left, top) of the canvas.

    The two directions are exact inverses: the scales are those of the rounded size, one per axis.
    covered: the image pixels that `placed` shows; None: all of the image. A JPEG decoded to a fraction of its
        size may cover a few more than there are, at its right and lower edge.

    >>> placement = Placement(image=Size(480, 640), canvas=Size(320, 320), placed=Size(240, 320))
    >>> placement.boxes_to_image(np.array([[0, 0, 320, 240]], np.float32))
    array([[  0.,   0., 640., 480.]], dtype=float32)
    """

    image: Size
    canvas: Size
    placed: Size
    covered: Size | None = None
    left: int = 0
    top: int = 0

    @property
    def scale_x(self) -> float:
        """Canvas pixels per image pixel, horizontally."""
        return self.placed.width / (self.covered or self.image).width

    @property
    def scale_y(self) -> float:
        """Canvas pixels per image pixel, vertically."""
        return self.placed.height / (self.covered or self.image).height

    def boxes_to_image(self, boxes_xyxy_canvas: Floats) -> Floats:
        """Boxes in the image frame, not clipped: float32 [N, 4]."""
        return ((boxes_xyxy_canvas - self._origin()) / self._scales()).astype(np.float32)

    def boxes_to_canvas(self, boxes_xyxy_image: Floats) -> Floats:
        """Boxes in the canvas frame: float32 [N, 4]."""
        return (boxes_xyxy_image * self._scales() + self._origin()).astype(np.float32)

    def _origin(self) -> npt.NDArray[np.float32]:
        return np.array([self.left, self.top, self.left, self.top], np.float32)

    def _scales(self) -> npt.NDArray[np.float64]:
        return np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y])


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """The instances that a decoder finds, best score first; arrays are read-only and N may be 0.

    classes: int64 [N], the network's numbers for classes, counted from 0; the card's labels name them.
    scores: float32 [N], in [0, 1].
    boxes_xyxy_canvas: float32 [N, 4], canvas frame, not clipped.
    mask_fields: float32 [N, h, w], low-resolution fields; a pixel belongs to the instance where the
        bilinearly interpolated field exceeds `mask_level`. [N, 0, 0] for a model of boxes only.
    extent: the part of the image that a field covers: the canvas; its box, apart from a rim of one cell on
        each side; or the whole pixels of that.
    window: the pixels that the box leaves to the mask: all of the image, those whose centres lie in the box,
        or those whose upper left corners do.
    mask_decides: an instance without a single pixel is left out of the answer.
    raster: pixels each way of the grid over the image in which the masks are drawn, and from which they are
        enlarged without interpolation (Mask2Former); None: they are drawn in the image itself.
    is_enlarged: the field is enlarged in a step of its own, and its padding is cut off, before the pixels of
        the image are interpolated (YOLO).
    box_is_extent: the box of the answer is the extent of the mask, and the box here is an estimate.
    """

    classes: Ints
    scores: Floats
    boxes_xyxy_canvas: Floats
    mask_fields: Floats
    mask_level: float = 0.0
    window: Window = "centres"
    mask_decides: bool = False
    extent: Extent = "canvas"
    box_is_extent: bool = False
    raster: int | None = None
    is_enlarged: bool = False

    def __post_init__(self) -> None:
        count = len(self.scores)
        expected = {"classes": (count,), "scores": (count,), "boxes_xyxy_canvas": (count, 4)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        if self.mask_fields.ndim != 3 or len(self.mask_fields) != count:
            raise ValueError(f"mask_fields has shape {self.mask_fields.shape}, expected ({count}, h, w)")
        for array in (self.classes, self.scores, self.boxes_xyxy_canvas, self.mask_fields):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.scores)

    def keep(self, chosen: npt.NDArray[np.bool_] | Ints) -> "Instances":
        """The chosen instances; `chosen` is bool [N], or int64 [M], indices in the order wanted."""
        return replace(
            self,
            classes=self.classes[chosen],
            scores=self.scores[chosen],
            boxes_xyxy_canvas=self.boxes_xyxy_canvas[chosen],
            mask_fields=self.mask_fields[chosen],
        )


@dataclass(frozen=True, slots=True)
class Rle:
    """A mask as COCO's compressed run lengths, over a whole image or crop, column by column."""

    size: Size
    counts: str

    def to_coco(self) -> dict[str, object]:
        """The mask as `pycocotools.mask.decode` takes it."""
        return {"size": [self.size.height, self.size.width], "counts": self.counts}


@dataclass(frozen=True, slots=True)
class RleCrop:
    """A mask within a window of the image that holds all of it.

    rle: the mask over the window. x, y: the window's upper left pixel, image frame.
    """

    rle: Rle
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Polygon:
    """A mask as rings, filled by the even-odd rule: along the edges of its pixels, or simpler as a contour.

    Each ring lists its corners as x, y, x, y, ..., image frame; the last corner is not the first again.
    """

    rings: tuple[tuple[int, ...], ...]


MaskForm: TypeAlias = Rle | RleCrop | Polygon


@dataclass(frozen=True, slots=True)
class Instance:
    """One object in one image; `bbox` is (x, y, width, height) in the image frame, clipped to the image.

    `track_id` is the object's identity across the frames of a stream that tracks, once it is known.
    """

    label: str
    category_id: int
    score: float
    bbox: tuple[float, float, float, float]
    area: int | None
    segmentation: MaskForm | None
    track_id: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """A caller's wishes for one segmentation; None means the default of the model or the service.

    exact: decode a large JPEG in full before it is shrunk, as evaluation does, not straight to a fraction.
    nms: of objects with nearly the same box only the best stays: "class" compares objects of one class, so
        that one object may get several labels; "all" compares all objects.
    tolerance: the farthest, in pixels, that a contour may leave the edge of its mask.
    tiles: the most tiles into which a picture larger than the network's input is cut, beside the whole of it;
        "auto": as many as it takes that nothing is shrunk, and as the service allows. None: no tiles.
    """

    score_threshold: float | None = None
    max_instances: int | None = None
    classes: tuple[str, ...] | None = None
    masks: MaskFormat = "rle"
    exact: bool | None = None
    nms: Nms = "class"
    tolerance: float = TOLERANCE
    tiles: Tiles | None = None


def split_labels(text: str | None) -> tuple[str, ...] | None:
    """The labels in a text with commas between them.

    >>> split_labels("cat, traffic light")
    ('cat', 'traffic light')
    """
    return None if text is None else tuple(name.strip() for name in text.split(","))


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """The runtime, precision, threads and devices that compute an answer.

    asked, in_effect: names of ONNX Runtime providers, OpenVINO devices or TFLite delegates. In effect are
        those that compute something, best first, and the CPU where some of the model is left to it.
    threads: the most that one inference uses.
    """

    runtime: str
    runtime_version: str
    precision: Precision
    threads: int
    asked: tuple[str, ...]
    in_effect: tuple[str, ...]


def count_few(slots: int) -> int:
    """The number of slots that may be at work while each still uses many threads.

    >>> [count_few(slots) for slots in (1, 2, 3, 4, 16)]
    [1, 1, 1, 2, 8]
    """
    return max(1, slots // 2)


def seconds_to_ms(seconds: float) -> float:
    """Milliseconds to three decimals, as digits beyond microseconds are noise."""
    return round(seconds * 1000, 3)


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds spent in each stage of one answer."""

    decode: float = 0.0
    prepare: float = 0.0
    infer: float = 0.0
    postprocess: float = 0.0
    masks: float = 0.0

    @property
    def total(self) -> float:
        return round(self.decode + self.prepare + self.infer + self.postprocess + self.masks, 3)


STAGES = tuple(stage.name for stage in fields(Timings))


def longest_timings(shares: Sequence[Timings]) -> Timings:
    """For each stage the longest of some works that run side by side, at least one."""
    return Timings(*(max(getattr(share, stage) for share in shares) for stage in STAGES))


def add_timings(parts: Sequence[Timings]) -> Timings:
    """The sums of the stages of works that follow on each other."""
    return Timings(*(round(sum(getattr(part, stage) for part in parts), 3) for stage in STAGES))


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The answer for one image, from which JSON, proto and the command line are made.

    picture: the encoded image, in the answers that a client gives; a notebook draws the instances on it.
    """

    image: Size
    instances: tuple[Instance, ...]
    model: str
    version: str
    backend: BackendInfo
    timings: Timings = field(default_factory=Timings, compare=False)
    picture: bytes | None = field(default=None, compare=False, repr=False)

    # The methods import their work when they are called: it needs this module.

    @property
    def masks(self) -> "Masks":
        """The masks as pixels, each computed when it is asked for; `np.asarray` gives bool [N, H, W]."""
        from service.inference.interchange import list_masks

        return list_masks(self)

    def to_coco(self, image_id: int = 1) -> list[dict[str, object]]:
        """COCO results with compressed RLE, for `COCO.loadRes`."""
        from service.inference.interchange import segmentation_to_coco

        return segmentation_to_coco(self, image_id)

    def to_polygons(self, tolerance: float = 0.0) -> tuple[tuple[Ints, ...], ...]:
        """The rings of each instance, int64 [V, 2] (x, y); a tolerance in pixels leaves out corners.

        Raises ValueError without masks, and ImportError where a tolerance needs OpenCV.
        """
        from service.inference.interchange import segmentation_to_polygons

        return segmentation_to_polygons(self, tolerance)

    def to_supervision(self) -> "supervision.Detections":
        """`supervision.Detections` with boxes, masks, scores, labels and track ids.

        Raises ImportError without supervision.
        """
        from service.inference.interchange import segmentation_to_supervision

        return segmentation_to_supervision(self)

    def _repr_png_(self) -> bytes | None:
        """The picture with the instances drawn on it, which notebooks show; None where it cannot be drawn."""
        from service.inference.interchange import segmentation_to_png

        return segmentation_to_png(self)


@dataclass(frozen=True, slots=True)
class Answer:
    """A segmentation, and the milliseconds that it waited for a slot and that its rendering took."""

    segmentation: Segmentation
    queue_ms: float
    render_ms: float = 0.0

    def summary(self) -> "Summary":
        """The answer without its instances."""
        found = self.segmentation
        labels = dict(Counter(instance.label for instance in found.instances))
        who = found.model, found.version, found.backend
        return Summary(*who, labels, found.timings, self.queue_ms, self.render_ms)


@dataclass(frozen=True, slots=True)
class Summary:
    """The parts of an answer that its log line, metrics and headers tell; `labels` counts the instances.

    A compute process sends it beside the rendered answer. The instances themselves are not sent: to
    pack and read four of them takes 0.1 ms.
    """

    model: str
    version: str
    backend: BackendInfo
    labels: Mapping[str, int]
    timings: Timings
    queue_ms: float
    render_ms: float

    @property
    def instances(self) -> int:
        """The number of instances."""
        return sum(self.labels.values())
