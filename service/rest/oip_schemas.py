"""What is asked and answered in JSON below `/v2`: requests are read by it, answers only described."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.oip.parameters import ImageParameters, TensorParameters
from service.rest.schemas import Schema

Parameter = bool | int | float | str
Shape = Annotated[list[int], Field(description="-1 stands for 1 or more.", examples=[[-1, 4]])]
KNOWN = (
    f"{', '.join(ImageParameters.model_fields)} of an image, {', '.join(TensorParameters.model_fields)} of "
    "pixels; and `binary_data_output`: make all outputs binary, where they do not say otherwise."
)


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class InferInputParameters(Asked):
    """Of an input that is binary."""

    binary_data_size: int | None = Field(
        default=None, ge=0, description="So many of the bytes after the JSON are its elements."
    )


class InferInput(Asked):
    """A tensor that goes in."""

    name: str = Field(examples=["image"])
    datatype: str = Field(examples=["BYTES"])
    shape: list[int] = Field(examples=[[1]])
    parameters: InferInputParameters = InferInputParameters()
    data: list[object] | None = Field(
        default=None, description="The elements, nested or not; those of BYTES in base64."
    )


class InferOutputParameters(Asked):
    """How an output is wanted."""

    binary_data: bool | None = Field(default=None, description="After the JSON, and not in it.")


class InferOutput(Asked):
    """A tensor that is to come out."""

    name: str = Field(examples=["boxes"])
    parameters: InferOutputParameters = InferOutputParameters()


class InferRequest(Asked):
    """One inference."""

    id: str = Field(default="", description="Comes back with the answer.")
    parameters: dict[str, Parameter] = Field(default={}, description=KNOWN)
    inputs: list[InferInput]
    outputs: list[InferOutput] = Field(default=[], description="Default: all of them.")


class IndexRequest(Asked):
    """Which models are to be listed."""

    ready: bool = Field(default=False, description="Only those that answer.")


class RepositoryRequest(Asked):
    """How a model is to be loaded or unloaded."""

    parameters: dict[str, object] = Field(
        default={}, description="`unload_dependents`, which changes nothing, when one is unloaded; no others."
    )


class InferAnswerOutput(Schema):
    """A tensor that has come out: its elements in `data`, or so many of the bytes after the JSON."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None = None
    parameters: dict[Literal["binary_data_size"], int] | None = None


class InferAnswerParameters(Schema):
    """What computed an answer; lists are joined by commas."""

    runtime: str
    runtime_version: str
    precision: str
    threads: int
    asked: str
    in_effect: str


class InferAnswer(Schema):
    """The outputs, in the order in which they were asked for."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: InferAnswerParameters
    outputs: list[InferAnswerOutput]


class ServerDescription(Schema):
    """The server, and what of the protocol it knows beyond its core."""

    name: str
    version: str
    extensions: list[str]


class TensorDescription(Schema):
    """An input or output."""

    name: str
    datatype: str
    shape: Shape


class ModelDescription(Schema):
    """A model's tensors."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorDescription]
    outputs: list[TensorDescription]


class Live(Schema):
    """The process answers."""

    live: Literal[True]


class Ready(Schema):
    """Models are loaded, warmed up and have passed their self-tests."""

    ready: Literal[True]
    name: str | None = Field(default=None, description="Of the model, where one was asked for.")


class IndexEntry(Schema):
    """A model and version that answers, or a folder whose model does not."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str
