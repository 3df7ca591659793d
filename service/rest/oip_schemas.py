"""The JSON below `/v2`: schemas that read requests, and schemas that write or describe answers."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from service.errors import InvalidOption, shorten
from service.oip.parameters import ImageParameters, TensorParameters
from service.rest.parameters import CallHeaders
from service.rest.schemas import Schema
from service.rest.upload import check_json

B = TypeVar("B", bound=BaseModel)

HEADER_LENGTH = "inference-header-content-length"
MOST_ELEMENTS = 500_000  # of all tensors in JSON, which is parsed in one step; binary ones have no limit
MOST_TENSORS, MOST_AXES = 100, 32
Shape = Annotated[list[int], Field(description="-1 stands for 1 or more.", examples=[[-1, 4]])]
KNOWN = (
    f"{', '.join(ImageParameters.model_fields)} of an image, {', '.join(TensorParameters.model_fields)} of "
    "pixels; and `binary_data_output`: all outputs are binary unless they say otherwise. Others are ignored."
)


class Asked(BaseModel):
    """A part of a request; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class InputParameters(BaseModel):
    """The parameters of an input; others, such as MLServer's `content_type`, are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    binary_data_size: int | None = Field(
        default=None, ge=0, description="The number of bytes after the JSON that hold the input's elements."
    )


class InferInput(Asked):
    """A tensor that goes in."""

    name: str = Field(examples=["image"])
    datatype: str = Field(examples=["BYTES"])
    shape: Annotated[list[int], FailFast(), Field(max_length=MOST_AXES, examples=[[1]])]
    parameters: InputParameters | None = None
    data: list[object] | None = Field(
        default=None, description="The elements, nested or not; those of BYTES in base64."
    )


class OutputParameters(BaseModel):
    """The parameters of an output; others are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    binary_data: bool | None = Field(
        default=None, description="Writes the output after the JSON instead of in it."
    )


class InferOutput(Asked):
    """A tensor that is asked for."""

    name: str = Field(examples=["boxes"])
    parameters: OutputParameters | None = None


class InferRequest(Asked):
    """One inference. `null` is the same as nothing: some clients write it for whatever they leave out."""

    id: str | None = Field(default=None, max_length=1000, description="The answer repeats it.")
    parameters: dict[str, object] | None = Field(default=None, description=KNOWN)
    inputs: Annotated[list[InferInput], FailFast(), Field(max_length=MOST_TENSORS)]
    outputs: list[InferOutput] | None = Field(
        default=None, fail_fast=True, max_length=MOST_TENSORS, description="Default: all of them."
    )
    model_name: str | None = Field(
        default=None, description="Ignored, because the path names the model; KServe's client sends it."
    )
    model_version: str | None = Field(default=None, description="Ignored as well.")


class IndexRequest(Asked):
    """The models to list."""

    ready: bool = Field(default=False, description="Only those that answer.")


class RepositoryRequest(Asked):
    """The way to load or unload a model."""

    parameters: dict[str, object] = Field(
        default={}, description="Only `unload_dependents`, at unloading; it changes nothing."
    )


class InferHeaders(CallHeaders):
    """The headers of an inference."""

    inference_header_content_length: Annotated[
        int | None,
        Field(ge=0, description="Bytes of the JSON, where binary tensors follow it.", examples=[162]),
    ] = None


def parse_json(schema: type[B], content: bytes) -> B:
    """A body of JSON as its schema has it; raises InvalidOption."""
    check_json(content, MOST_ELEMENTS)
    try:
        with _without_collector():
            return schema.model_validate(orjson.loads(content))
    except orjson.JSONDecodeError as error:
        raise InvalidOption(f"the body's JSON cannot be read: {error}") from error
    except ValidationError as error:
        fault = error.errors(include_input=False, include_context=False)[0]
        place = shorten(".".join(map(str, fault["loc"])) or "the body", 80)
        raise InvalidOption(f"{place}: {fault['msg'][0].lower()}{fault['msg'][1:]}") from error


@contextmanager
def _without_collector() -> Iterator[None]:
    """Python's garbage collector does not run meanwhile.

    It looks through a growing document again and again, which takes most of the time, and finds nothing:
    JSON has no circular references.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class InferAnswerOutput(Schema):
    """A tensor of an answer: its elements in `data`, or in as many bytes after the JSON."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None = None
    parameters: dict[Literal["binary_data_size"], int] | None = None


class InferAnswerParameters(Schema):
    """The backend of an answer; lists are joined by commas."""

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
    """The server, and the extensions of the protocol that it knows."""

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
    name: str | None = Field(default=None, description="The model's name, where the path names one.")


class IndexEntry(Schema):
    """A model and version that answers, or a folder whose model does not."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str
