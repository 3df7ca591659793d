"""Inference by the Open Inference Protocol: JSON, and binary tensors after it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Request, Response

from service.errors import InvalidOption
from service.inference.documents import Json, server_timing
from service.oip import inference
from service.oip.models import BATCH_LIMIT
from service.oip.tensors import BYTES, Offered, Tensor, write_tensor
from service.rest.bodies import Body, parse
from service.rest.boundary import unless_gone
from service.rest.dependencies import EngineHeld, ViewHeld
from service.rest.oip import MODEL, VERSION
from service.rest.oip_schemas import (
    HEADER_LENGTH,
    InferAnswer,
    InferHeaders,
    InferInput,
    InferRequest,
    parse_json,
)
from service.rest.openapi import (
    BINARY,
    HEADERS,
    SERVER_TIMING,
    TINY_WEBP,
    UPLOAD,
    Responses,
    describe_body,
    problems,
)
from service.rest.problem import record_of
from service.rest.upload import decode_base64

BINARY_OUTPUT = "binary_data_output"

EXAMPLE = {
    "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [TINY_WEBP]}],
    "outputs": [{"name": "boxes"}, {"name": "labels"}, {"name": "scores"}],
    "parameters": {"score_threshold": 0.5},
}
INFER_BODY = describe_body(InferRequest, EXAMPLE)
INFER_BODY["content"]["application/octet-stream"] = BINARY
INFER_RESPONSES: Responses = {
    200: {
        "model": InferAnswer,
        "description": "The outputs; binary ones follow the JSON where they are asked for.",
        "headers": HEADERS | SERVER_TIMING,
        "content": {"application/json": {}, "application/octet-stream": BINARY},
    },
    **problems(404, *UPLOAD),
}
INFER = f"""Model `NAME` takes `image`, one encoded image, and gives its instances, best score first:
`boxes` (x, y, width, height), `scores`, `labels`, `category_ids`, `areas`, and `rles`, COCO's counts over
`image_size` (height, width). Masks are not computed where the outputs asked for hold neither `areas` nor
`rles`. Model `NAME.tensors` takes `pixels`, RGB in the size of the network's input, at most {BATCH_LIMIT}
images in a batch, and gives the network's heads. `/v2/models/NAME` has the tensors of both with their
datatypes and shapes.

The parameters of an `image` are the options of `/v1/segment`: `score_threshold`, `max_instances`, `classes`
(one text with commas between the labels), `masks` (`rle` or `none`), `exact`, `nms` (`class` or `all`). Both
models take `timeout`: microseconds until the work has to begin. Other parameters are ignored.
`/v2/models/NAME/versions/VERSION/infer` asks one version; so do the model's other paths."""

router = APIRouter(tags=["open inference protocol"])


@dataclass(frozen=True, slots=True)
class OutputFormats:
    """The outputs that are written binary: those of `outputs`, by name, and the rest as `default` says."""

    default: bool
    outputs: Mapping[str, bool]

    def is_binary(self, name: str) -> bool:
        return self.outputs.get(name, self.default)


@router.post(f"{VERSION}/infer", include_in_schema=False)
@router.post(
    f"{MODEL}/infer",
    summary="Infer",
    operation_id="oip_infer",
    description=INFER,
    response_class=Response,
    responses=INFER_RESPONSES,
    openapi_extra={"requestBody": INFER_BODY},
)
async def infer(
    request: Request, engine: EngineHeld, view: ViewHeld, headers: Annotated[InferHeaders, Header()]
) -> Response:
    """One inference; a request that cannot succeed is refused before its body is read."""
    deadline = engine.deadline(headers.x_request_timeout)
    with Body(request) as body:
        engine.admission.check()
        content = await body.read(deadline)
        length = headers.inference_header_content_length
        document, inputs = await parse(len(content), parse_infer_request, content, length)
        asked = inference.Request(
            view,
            request.path_params.get("version"),
            inputs,
            outputs=tuple(output.name for output in document.outputs or ()),
            parameters={
                name: value for name, value in (document.parameters or {}).items() if name != BINARY_OUTPUT
            },
            id=document.id or "",
        )
        render = partial(write_reply, formats=read_formats(document))
        work = inference.infer(engine, asked, deadline=deadline, record=record_of(request), render=render)
        reply, (payload, kind) = await unless_gone(request, work)
    timing = server_timing(reply.timings, queue_ms=reply.queue_ms, render_ms=reply.render_ms)
    return Response(payload, headers=kind | {"server-timing": timing})


def parse_infer_request(body: bytes, header_length: int | None) -> tuple[InferRequest, tuple[Offered, ...]]:
    """A request's JSON, and its inputs with their elements; raises InvalidOption.

    header_length: bytes of the JSON, None for all.
    """
    length = len(body) if header_length is None else header_length
    if length > len(body):
        raise InvalidOption(
            f"{HEADER_LENGTH} is {length}, expected the length of the JSON: at most {len(body)}, the "
            "length of the body"
        )
    document = parse_json(InferRequest, body[:length])
    return document, tuple(_split_inputs(document, memoryview(body)[length:]))


def read_formats(document: InferRequest) -> OutputFormats:
    """The outputs that a request wants binary; raises InvalidOption."""
    default = (document.parameters or {}).get(BINARY_OUTPUT, False)
    if not isinstance(default, bool):
        raise InvalidOption(f"parameter {BINARY_OUTPUT} is {default!s:.40}, expected true or false")
    chosen = {
        output.name: output.parameters.binary_data for output in document.outputs or () if output.parameters
    }
    return OutputFormats(default, {name: binary for name, binary in chosen.items() if binary is not None})


def write_reply(reply: inference.Reply, formats: OutputFormats) -> tuple[bytes, dict[str, str]]:
    """The body of a response, and its headers."""
    outputs, binary = [], []
    for tensor in reply.outputs:
        head: Json = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.array.shape)}
        if formats.is_binary(tensor.name):
            binary.append(write_tensor(tensor))
            outputs.append(head | {"parameters": {"binary_data_size": len(binary[-1])}})
        else:
            outputs.append(head | {"data": _list_elements(tensor)})
    content: Json = {"model_name": reply.name, "model_version": reply.version}
    content |= {"id": reply.id} if reply.id else {}
    content |= {"parameters": reply.parameters, "outputs": outputs}
    document = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    if not binary:
        return document, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(document))}
    return b"".join((document, *binary)), headers


def _split_inputs(document: InferRequest, binary: memoryview) -> Iterator[Offered]:
    """The inputs, each with its part of the bytes after the JSON."""
    for each in document.inputs:
        size, raw = each.parameters.binary_data_size if each.parameters else None, None
        if size is not None:
            if each.data is not None or size > len(binary):
                raise InvalidOption(
                    f"input {each.name:.40} has binary_data_size {size}: it needs so many bytes after "
                    f"the JSON, where {len(binary)} are left, and no data in it"
                )
            raw, binary = bytes(binary[:size]), binary[size:]
        yield Offered(each.name, each.datatype, tuple(each.shape), raw, _read_data(each))
    if binary:
        raise InvalidOption(f"{len(binary)} bytes are left over after the last input")


def _read_data(each: InferInput) -> list[Any] | None:
    """The elements in the JSON; those of BYTES are base64 there."""
    if each.data is None or each.datatype != BYTES:
        return each.data
    if not all(isinstance(value, str) for value in each.data):
        raise InvalidOption(f"input {each.name:.40} has an element that is no text in base64")
    try:
        return [decode_base64(str(value)) for value in each.data]
    except ValueError as error:
        raise InvalidOption(f"input {each.name:.40} is not base64, which JSON needs: {error}") from error


def _list_elements(tensor: Tensor) -> object:
    """The elements one after the other; those of BYTES as text."""
    flat = tensor.array.ravel()
    return [element.decode() for element in flat] if tensor.datatype == BYTES else flat
