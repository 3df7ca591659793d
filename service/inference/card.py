"""A model's card.json: all that the service knows about a model and its files.

Every range is checked here, once: a number that no answer could carry is refused with the card.
"""

import codecs
import hashlib
import os
import stat
import unicodedata
from typing import Annotated, Literal, Protocol, TypeAlias

from pydantic import Field, ValidationError, field_validator, model_validator

from service.errors import InvalidCard
from service.inference.calibration import Calibration
from service.inference.families import Decoder, Frozen, Shape
from service.types import Precision, Size

Runtime: TypeAlias = Literal["onnx", "tflite", "ncnn"]  # as a card names the kind of a file
FilePrecision: TypeAlias = Literal["fp32", "fp16", "int8"]
Triple: TypeAlias = tuple[float, float, float]  # one number for red, green and blue
Positive: TypeAlias = Annotated[float, Field(gt=0)]
FileName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

_UNWRITTEN = frozenset({"Cc", "Zl", "Zp"})  # control characters, line and paragraph separators
MOST_LABELS = 10_000  # public sets have fewer; 100,000 would take seconds to refuse
_JSON_BYTES = 20_000_000
_FAULTS = 10  # named in one message


class Label(Frozen):
    """A class; answers carry its id and name.

    channel: the network's number for it, counted from 0. None: its place in the card's list. A channel
        without a label, such as the background, is never answered.
    """

    category_id: int = Field(ge=-(2**63), lt=2**63)
    name: str = Field(min_length=1, max_length=200)
    channel: int | None = Field(default=None, ge=0, lt=65_536)

    @field_validator("name")
    @classmethod
    def _can_be_asked_for(cls, name: str) -> str:
        if "," in name or name != name.strip() or _UNWRITTEN.intersection(map(unicodedata.category, name)):
            raise ValueError(
                f"label {name!r} holds a comma, a line break or another control character, or begins or ends "
                "with a space: no request could name it, as requests separate labels by commas"
            )
        return name


class Accuracy(Frozen):
    """COCO metrics of one file, in [0, 1], with the data and the command that gave them."""

    data: str
    command: str
    mask_ap: float
    mask_ap50: float
    mask_ap75: float | None = None
    box_ap: float
    images: int = Field(ge=0)


class Latency(Frozen):
    """Median milliseconds of one inference, batch 1, with the hardware."""

    hardware: str
    threads: int
    milliseconds: float


class GraphInput(Frozen):
    """The numbers that a graph takes where it does not take bytes: (byte / scale - mean) / std.

    Only the TFLite and NCNN backends compute them. A TFLite file's own quantisation, if it has one, follows.
    mean, std: for red, green and blue, whatever the order is.
    """

    layout: Literal["NHWC", "NCHW"] = "NHWC"
    order: Literal["RGB", "BGR"] = "RGB"
    scale: float = Field(default=255.0, gt=0)
    mean: Triple = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)


class Weights(Frozen):
    """The file with a graph's weights, where the runtime keeps them apart from the graph."""

    path: FileName
    sha256: Sha256
    bytes: int = Field(gt=0, lt=2**63)


class ArtifactFile(Frozen):
    """One exported graph: takes uint8 [N, H, W, 3] RGB, gives the card's outputs as float32 [N, ...].

    input: what a TFLite or NCNN graph takes instead; None: uint8, or int8 that is the byte minus 128. An ONNX
        graph has the conversion inside.
    weights: of an NCNN graph, whose `path` is the .param file: the .bin file. None for other runtimes.
    """

    path: FileName
    runtime: Runtime
    precision: FilePrecision
    sha256: Sha256
    bytes: int = Field(gt=0, lt=2**63)
    weights: Weights | None = None
    input: GraphInput | None = None
    accuracy: Accuracy | None = None
    latency: Latency | None = None

    @property
    def parts(self) -> tuple["ArtifactFile | Weights", ...]:
        """The files on the disk, the graph first."""
        return (self,) if self.weights is None else (self, self.weights)

    @property
    def all_bytes(self) -> int:
        """The bytes of all parts."""
        return sum(part.bytes for part in self.parts)

    @model_validator(mode="after")
    def _takes_bytes_in_onnx(self) -> "ArtifactFile":
        if self.input is not None and self.runtime == "onnx":
            raise ValueError("an ONNX graph takes uint8: put the conversion into the graph, not on the card")
        return self

    @model_validator(mode="after")
    def _is_a_pair_in_ncnn(self) -> "ArtifactFile":
        if (self.weights is not None) != (self.runtime == "ncnn"):
            raise ValueError("a file has `weights` if, and only if, its runtime is ncnn: name the .bin there")
        if self.runtime == "ncnn" and (self.input is None or self.input.layout != "NCHW"):
            raise ValueError("an NCNN graph takes numbers: describe them as `input`, with the layout NCHW")
        return self


class Input(Frozen):
    """The canvas in pixels, and the way an image gets there.

    fit: letterbox keeps the aspect and fills the rest with `padding`; stretch fills the canvas; as_is takes
        the image without resizing, and height and width are then the size of the self-test's picture.
    anchor: the image's place on the canvas; an odd rest puts the smaller half on the left and top.
    interpolation: area averages the pixels where it shrinks and is linear where it grows; linear never
        averages, as `cv2.resize` by default.
    """

    height: int = Field(ge=1, le=8192)
    width: int = Field(ge=1, le=8192)
    fit: Literal["letterbox", "stretch", "as_is"] = "letterbox"
    anchor: Literal["top_left", "centre"] = "top_left"
    padding: int = Field(default=127, ge=0, le=255)  # mid grey: our networks see it in training, too
    interpolation: Literal["area", "linear"] = "area"

    @property
    def allows_reduction(self) -> bool:
        """True where a JPEG may be decoded straight to a fraction of its size: averaging hides it."""
        return self.fit == "letterbox" and self.interpolation == "area"


class Card(Frozen):
    """The content of card.json, validated.

    outputs: the shape of every head without the batch axis; None for an extent that differs from image to
        image, such as the number of instances.
    calibration: None: the network's scores are reported as they are. The decoder's threshold is one of
        reported scores.
    """

    schema_version: Literal[1, 2]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)
    description: str
    network: str
    input: Input
    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=MOST_LABELS)]
    decoder: Decoder
    calibration: Calibration | None = None
    outputs: dict[str, Shape]
    parameters: int = Field(ge=0, lt=2**63)
    multiply_adds: int = Field(ge=0, lt=2**63)
    files: Annotated[tuple[ArtifactFile, ...], Field(min_length=1)]

    @property
    def canvas(self) -> Size:
        return Size(self.input.height, self.input.width)

    def graph_input(self, runtime: Runtime, precision: Precision) -> GraphInput | None:
        """The numbers that the file of this runtime and precision takes; None for bytes."""
        kinds: dict[tuple[Runtime, Precision], GraphInput | None] = {
            (file.runtime, file.precision): file.input for file in self.files
        }
        return kinds.get((runtime, precision))

    @property
    def has_unlabelled(self) -> bool:
        """True where labels name their channels, so that the network may know others."""
        return any(label.channel is not None for label in self.labels)

    def labels_by_channel(self) -> dict[int, Label]:
        """The labels under the network's numbers for them."""
        places = enumerate(self.labels)
        return {place if label.channel is None else label.channel: label for place, label in places}

    @model_validator(mode="before")
    @classmethod
    def _assumes_a_family(cls, content: object) -> object:
        """Version 1 knows one family, so its decoder may leave the family out."""
        if isinstance(content, dict) and isinstance(decoder := content.get("decoder"), dict):
            return {**content, "decoder": {"family": "centers", **decoder}}
        return content

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Card":
        if self.schema_version == 1 and not self._is_of_version_1():
            raise ValueError(
                "only schema_version 2 has other families, fits, channels, inputs, calibration, ncnn"
            )
        channels = self.labels_by_channel()
        if len(channels) != len(self.labels):
            raise ValueError("a label's channel stands twice")
        self.decoder.check_outputs(self.outputs, self.canvas, max(channels) + 1)
        for what, values in (
            ("label name", [label.name for label in self.labels]),
            ("category_id", [label.category_id for label in self.labels]),
            ("file", [part.path for file in self.files for part in file.parts]),
            ("runtime and precision", [(file.runtime, file.precision) for file in self.files]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"a {what} stands twice")
        return self

    def _is_of_version_1(self) -> bool:
        return (
            self.decoder.family == "centers"
            and self.calibration is None
            and self.input == Input(height=self.input.height, width=self.input.width)
            and all(label.channel is None for label in self.labels)
            and all(file.input is None and file.runtime != "ncnn" for file in self.files)
        )


class File(Protocol):
    """A file of a model folder; a Path is one."""

    def stat(self) -> os.stat_result: ...
    def read_bytes(self) -> bytes: ...


class Folder(Protocol):
    """A model folder on a disk, which is a Path, or one whose files are kept in memory."""

    def __truediv__(self, name: str, /) -> File: ...


def read_card(folder: Folder) -> Card:
    """The validated card of a model folder.

    Raises InvalidCard when card.json is missing, malformed, or contradicts itself.
    """
    path = folder / "card.json"
    try:
        return Card.model_validate_json(read_json(path))
    except ValidationError as error:
        raise InvalidCard(f"{path}: {describe_faults(error, 'card')}") from error


def read_json(path: File) -> bytes:
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


def read_artifact(folder: Folder, file: ArtifactFile | Weights) -> bytes:
    """The bytes of a graph's or its weights' file, checked against the card's hash.

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


def _measure(path: File) -> int:
    """The bytes of a regular file; raises InvalidCard."""
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidCard(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidCard(f"cannot read {path}: it is not a regular file")
    return status.st_size


def _read(path: File) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidCard(f"cannot read {path}: {error.strerror}") from error
