"""A model's card.json: all that the service knows about an artifact."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.errors import InvalidCard
from service.types import Precision, Size

Runtime: TypeAlias = Literal["onnx", "tflite"]  # as a card names what opens a file
Shape: TypeAlias = tuple[int, ...]  # of a head: height, width, channels


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(_Frozen):
    """A class: its place in the list is the network's channel, its id the one COCO answers carry."""

    category_id: int
    name: str = Field(min_length=1)


class CentersDecoder(_Frozen):
    """BlitzMask: an object per heatmap peak (BlitzMask, sec. 3.3)."""

    family: Literal["centers"] = "centers"
    stride: int = Field(default=4, ge=1, description="canvas pixels per heatmap cell")
    coefficients: int = Field(
        default=32, ge=0, description="K, the channels of the spanning set; 0 for a model of boxes only"
    )
    score_threshold: float = Field(default=0.3, ge=0, le=1)
    max_instances: int = Field(default=100, ge=1)
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

    def output_shapes(self, canvas: Size, classes: int) -> dict[str, Shape]:
        """Shape of every head without the batch axis: (height, width, channels)."""
        cells = (canvas.height // self.stride, canvas.width // self.stride)
        channels = {"heatmap": classes, "size": 4}
        if self.coefficients:
            channels |= {"coefficients": self.coefficients, "spanning_set": self.coefficients}
        return {name: (*cells, count) for name, count in channels.items()}


class Accuracy(_Frozen):
    """COCO metrics of one file, in [0, 1], and how they were measured."""

    data: str
    command: str
    mask_ap: float
    mask_ap50: float
    mask_ap75: float | None = None
    box_ap: float
    images: int


class Latency(_Frozen):
    """Median milliseconds of one inference, batch 1, and on what."""

    hardware: str
    threads: int
    milliseconds: float


class ArtifactFile(_Frozen):
    """One exported graph: takes uint8 [N, H, W, 3] RGB, gives the card's outputs as float32 [N, h, w, C]."""

    path: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    runtime: Runtime
    precision: Precision
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)
    accuracy: Accuracy | None = None
    latency: Latency | None = None


class InputSize(_Frozen):
    """The canvas, in pixels."""

    height: int = Field(ge=32, multiple_of=32)
    width: int = Field(ge=32, multiple_of=32)


class Card(_Frozen):
    """What card.json holds, validated."""

    schema_version: Literal[1]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str
    network: str
    input: InputSize
    labels: Annotated[tuple[Label, ...], Field(min_length=1)]
    decoder: CentersDecoder
    outputs: dict[str, Shape]
    parameters: int
    multiply_adds: int
    files: Annotated[tuple[ArtifactFile, ...], Field(min_length=1)]

    @property
    def canvas(self) -> Size:
        return Size(self.input.height, self.input.width)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Card":
        expected = self.decoder.output_shapes(self.canvas, len(self.labels))
        if self.outputs != expected:
            raise ValueError(
                f"outputs {self.outputs} do not fit input, labels and decoder, which give {expected}"
            )
        for what, values in (
            ("label name", [label.name for label in self.labels]),
            ("category_id", [label.category_id for label in self.labels]),
            ("file", [file.path for file in self.files]),
            ("runtime and precision", [(file.runtime, file.precision) for file in self.files]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"a {what} stands twice")
        return self


def read_card(folder: Path) -> Card:
    """The validated card of a model folder.

    Raises InvalidCard when card.json is missing, malformed, or contradicts itself.
    """
    path = folder / "card.json"
    try:
        return Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidCard(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'card'}: {item['msg']}" for item in error.errors()
        )
        raise InvalidCard(f"{path}: {reasons}") from error


def read_artifact(folder: Path, file: ArtifactFile) -> bytes:
    """The bytes of an artifact, whose hash is the card's.

    They are what a runtime is given, not the path: a file that is swapped or cut later on changes nothing.
    Raises InvalidCard when the file is missing or is not the one the card describes.
    """
    path = folder / file.path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidCard(f"cannot read {path}, which the card lists: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    if (len(content), digest) != (file.bytes, file.sha256):
        raise InvalidCard(
            f"{path} is not the file its card describes: {len(content)} bytes with sha256 {digest}, "
            f"expected {file.bytes} bytes with {file.sha256}; export it again or restore it"
        )
    return content
