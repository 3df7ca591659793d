"""A model's card.json: all that the service knows about a model and its files.

Every range is checked here, once: a number that no answer could carry is refused with the card.
"""

import codecs
import hashlib
import stat
import unicodedata
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from service.errors import InvalidCard
from service.types import Precision, Size

Runtime: TypeAlias = Literal["onnx", "tflite"]  # as a card names what opens a file
Shape: TypeAlias = tuple[int, ...]  # of a head: height, width, channels

_UNWRITTEN = frozenset({"Cc", "Zl", "Zp"})  # control characters, line and paragraph separators
_JSON_BYTES = 20_000_000
_FAULTS = 10  # named in one message


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Label(_Frozen):
    """A class: its place in the card's list is the network's channel; answers carry its id and name."""

    category_id: int = Field(ge=-(2**63), lt=2**63)
    name: str = Field(min_length=1, max_length=200)

    @field_validator("name")
    @classmethod
    def _can_be_asked_for(cls, name: str) -> str:
        if "," in name or name != name.strip() or _UNWRITTEN.intersection(map(unicodedata.category, name)):
            raise ValueError(
                f"label {name!r} holds a comma, a line break or another control character, or begins or ends "
                "with a space: no request could name it, as requests separate labels by commas"
            )
        return name


class CentersDecoder(_Frozen):
    """BlitzMask: an object per heatmap peak (BlitzMask, sec. 3.3)."""

    family: Literal["centers"] = "centers"
    stride: int = Field(default=4, ge=1, le=256, description="canvas pixels per heatmap cell")
    coefficients: int = Field(
        default=32,
        ge=0,
        le=4096,
        description="K, the channels of the spanning set; 0 for a model of boxes only",
    )
    score_threshold: float = Field(default=0.3, ge=0, le=1)
    max_instances: int = Field(default=100, ge=1, le=65_535)  # a label map numbers them in 16 bits
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
    """COCO metrics of one file, in [0, 1], with the data and the command that gave them."""

    data: str
    command: str
    mask_ap: float
    mask_ap50: float
    mask_ap75: float | None = None
    box_ap: float
    images: int = Field(ge=0)


class Latency(_Frozen):
    """Median milliseconds of one inference, batch 1, with the hardware."""

    hardware: str
    threads: int
    milliseconds: float


class ArtifactFile(_Frozen):
    """One exported graph: takes uint8 [N, H, W, 3] RGB, gives the card's outputs as float32 [N, h, w, C]."""

    path: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    runtime: Runtime
    precision: Precision
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(gt=0, lt=2**63)
    accuracy: Accuracy | None = None
    latency: Latency | None = None


class InputSize(_Frozen):
    """The canvas, in pixels."""

    height: int = Field(ge=32, le=8192, multiple_of=32)
    width: int = Field(ge=32, le=8192, multiple_of=32)


class Card(_Frozen):
    """The content of card.json, validated."""

    schema_version: Literal[1]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)
    description: str
    network: str
    input: InputSize
    labels: Annotated[tuple[Label, ...], Field(min_length=1)]
    decoder: CentersDecoder
    outputs: dict[str, Shape]
    parameters: int = Field(ge=0, lt=2**63)
    multiply_adds: int = Field(ge=0, lt=2**63)
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
        return Card.model_validate_json(read_json(path))
    except ValidationError as error:
        raise InvalidCard(f"{path}: {describe_faults(error, 'card')}") from error


def read_json(path: Path) -> bytes:
    """The bytes of a JSON file of a model folder, without a byte order mark.

    Raises InvalidCard when it cannot be read, is no regular file (a pipe would never end), or is too large.
    """
    size = _measure(path)
    if size > _JSON_BYTES:
        raise InvalidCard(f"{path} has {size} bytes, at most {_JSON_BYTES} are read")
    return _read(path).removeprefix(codecs.BOM_UTF8)


def describe_faults(error: ValidationError, what: str) -> str:
    """The first faults of a document in one line, each with its place; `what` names the whole of it."""
    faults = [f"{'.'.join(map(str, item['loc'])) or what}: {item['msg']}" for item in error.errors()]
    more = f"; and {len(faults) - _FAULTS} more" if len(faults) > _FAULTS else ""
    return "; ".join(faults[:_FAULTS]) + more


def read_artifact(folder: Path, file: ArtifactFile) -> bytes:
    """The bytes of a model file, checked against the card's hash.

    A runtime is given these bytes, not the path, so a file that is swapped or cut later changes nothing.
    Raises InvalidCard when the file is missing or is not the one the card describes.
    """
    path = folder / file.path
    count, digest = _measure(path), "not computed"
    if count == file.bytes:
        content = _read(path)
        count, digest = len(content), hashlib.sha256(content).hexdigest()
        if digest == file.sha256:
            return content
    raise InvalidCard(
        f"{path} is not the file its card describes: {count} bytes, sha256 {digest}, "
        f"expected {file.bytes} bytes, sha256 {file.sha256}; export it again or restore it"
    )


def _measure(path: Path) -> int:
    """The bytes of a regular file; raises InvalidCard."""
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidCard(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidCard(f"cannot read {path}: it is not a regular file")
    return status.st_size


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidCard(f"cannot read {path}: {error.strerror}") from error
