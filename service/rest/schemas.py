"""The answers in JSON, for the OpenAPI description; tests validate the answers by these schemas."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Schema(BaseModel):
    """A part of a request or answer; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class ImageSize(Schema):
    """The image's size in pixels with its EXIF orientation applied."""

    height: int = Field(examples=[480])
    width: int = Field(examples=[640])


class Rle(Schema):
    """A mask in COCO's form, ready for `pycocotools.mask.decode`."""

    size: tuple[int, int] = Field(description="Height and width of the image.", examples=[[480, 640]])
    counts: str | list[int] = Field(
        description="Run lengths, column by column: compressed, or a list with `format=uncompressed`.",
        examples=["`0\\\\`>1O000O1"],
    )


class RleCrop(Schema):
    """A mask in COCO's form over a window of the image that holds all of it."""

    size: tuple[int, int] = Field(description="Height and width of the window.", examples=[[400, 200]])
    counts: str | list[int] = Field(
        description="Run lengths, column by column: compressed, or a list with `format=uncompressed`.",
        examples=["`0\\\\`>1O000O1"],
    )
    offset: tuple[int, int] = Field(
        description="x and y of the window's top-left pixel in the image.", examples=[[13, 30]]
    )


class Polygon(Schema):
    """A mask by the even-odd rule: a pixel is inside where an odd number of rings surrounds it."""

    rings: list[list[int]] = Field(
        description="Each x, y, x, y, ... of the corners; the last is joined to the first. A polygon follows "
        "the pixels' edges, a contour leaves out corners within the tolerance.",
        examples=[[[13, 30, 213, 30, 213, 430, 13, 430], [50, 60, 50, 90, 80, 90, 80, 60]]],
    )


class FoundInstance(Schema):
    """One object."""

    label: str = Field(examples=["person"])
    category_id: int = Field(
        description="The id of the label on the model's card, as `/v1/models` lists it; not always COCO's.",
        examples=[1],
    )
    score: float = Field(ge=0, le=1, examples=[0.87])
    bbox: tuple[float, float, float, float] = Field(
        description="x, y, width, height in pixels of the image; x and y are the top-left corner's.",
        examples=[[12.5, 30.0, 200.0, 400.25]],
    )
    area: int | None = Field(
        default=None, description="The number of pixels of the mask; absent without masks.", examples=[41234]
    )
    segmentation: Rle | RleCrop | Polygon | None = Field(
        default=None, description="The mask in the form that the option `masks` names; absent without masks."
    )
    track_id: int | None = Field(
        default=None, description="The object's identity on streams with `track`, once it is known."
    )


class BackendInEffect(Schema):
    """The backend: `asked` and `in_effect` name ONNX Runtime providers or TFLite delegates."""

    runtime: str = Field(examples=["onnxruntime"])
    runtime_version: str = Field(examples=["1.31.1"])
    precision: Literal["fp32", "fp16", "int8", "bf16"]
    threads: int = Field(description="Threads of this inference, at most.", examples=[1])
    asked: list[str] = Field(examples=[["CPUExecutionProvider"]])
    in_effect: list[str] = Field(
        description="The providers or delegates at work, best first; the CPU too where it computes a part.",
        examples=[["CPUExecutionProvider"]],
    )


class StageTimings(Schema):
    """Milliseconds by stage.

    The Server-Timing header also has `render`, the time to write the answer, and counts it in its total.
    """

    queue: float = Field(description="Waiting for a worker slot.", examples=[0.05])
    decode: float = Field(description="Decoding the bytes to pixels.", examples=[1.6])
    prepare: float = Field(description="Scaling the pixels to the network's canvas.", examples=[0.1])
    infer: float = Field(description="Computing the network.", examples=[9.7])
    postprocess: float = Field(description="Decoding the network's outputs to instances.", examples=[0.3])
    masks: float = Field(description="Computing the masks in pixels of the image.", examples=[0.4])
    total: float = Field(
        description="The sum of the stages from decode to masks, without `queue`.", examples=[12.1]
    )


class SegmentAnswer(Schema):
    """The instances of one image, best score first."""

    image: ImageSize
    instances: list[FoundInstance]
    model: str = Field(examples=["blitzmask-mobilenetv2"])
    version: str = Field(examples=["1"])
    backend: BackendInEffect
    timings_ms: StageTimings


class CocoResult(Schema):
    """One result in a list for `COCO.loadRes`."""

    image_id: int = Field(examples=[1])
    category_id: int = Field(
        description="The label's id on the model's card; annotations to compare with need the same ids.",
        examples=[1],
    )
    score: float = Field(examples=[0.87])
    bbox: tuple[float, float, float, float] = Field(examples=[[12.5, 30.0, 200.0, 400.25]])
    area: int | None = Field(default=None, examples=[41234])
    segmentation: Rle | None = None


class Category(Schema):
    """A class with its id on the model's card."""

    id: int = Field(examples=[1])
    name: str = Field(examples=["person"])


class ModelAnswer(Schema):
    """A model that answers."""

    name: str = Field(examples=["blitzmask-mobilenetv2"])
    version: str = Field(examples=["1"])
    description: str
    network: str
    input: ImageSize = Field(description="The size of the network's input; images of any size are accepted.")
    labels: list[str] = Field(examples=[["person", "car"]])
    categories: list[Category] = Field(description="The same classes with the ids that answers carry.")
    score_threshold: float = Field(description="The default of this option.", examples=[0.3])
    max_instances: int = Field(description="The default of this option.", examples=[100])
    parameters: int = Field(description="The number of the network's parameters.", examples=[2900000])
    multiply_adds: int = Field(description="The multiply-adds of one inference.", examples=[1100000000])
    backend: BackendInEffect


class ModelsAnswer(Schema):
    """Every model and version that answers, the default first, and those that do not."""

    models: list[ModelAnswer]
    refused: dict[str, str] = Field(description="The reasons why models do not answer, by their folders.")
    unloaded: list[str] = Field(description="Folders of models that wait to be loaded again.")


class Liveness(Schema):
    """The process answers."""

    status: Literal["alive"]


class ReadyModel(Schema):
    """A model that has passed its self-test, and its backend."""

    name: str = Field(examples=["blitzmask-mobilenetv2"])
    version: str = Field(examples=["1"])
    backend: BackendInEffect


class Readiness(Schema):
    """Models are loaded, warmed up and have passed their self-tests.

    Where keys are set, a caller without one learns only this.
    """

    status: Literal["ready"]
    models: list[ReadyModel] | None = None
    refused: dict[str, str] | None = Field(
        default=None, description="The reasons why models do not answer, by their folders."
    )


class Problem(Schema):
    """RFC 9457. Programs tell problems apart by `type`; `detail` is for people."""

    type: str = Field(examples=["urn:blitzmask:problem:InvalidImage"])
    title: str = Field(examples=["The bytes are empty, truncated, or not an image"])
    status: int = Field(examples=[400])
    detail: str = Field(examples=["the image cannot be decoded: it is corrupt"])
    instance: str = Field(
        description="The request's id, also in X-Request-Id.", examples=["urn:request:6f1c"]
    )
    error: str | None = Field(
        default=None,
        description="Below `/v2` only: `detail` once more, where the Open Inference Protocol has it.",
    )
