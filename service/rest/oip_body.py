"""The protocol's inference request and response as bodies: JSON, and after it binary tensors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from service.errors import InvalidOption
from service.inference.documents import Json
from service.oip.inference import Reply, Request
from service.oip.tensors import BYTES, Offered, Tensor, write_tensor
from service.oip.views import View
from service.rest.oip_schemas import InferRequest

HEADER_LENGTH = "inference-header-content-length"
BINARY_OUTPUT = "binary_data_output"

B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Formats:
    """Which outputs are to be binary: those of `outputs`, by name, and for the rest `default`."""

    default: bool
    outputs: Mapping[str, bool]

    def is_binary(self, name: str) -> bool:
        return self.outputs.get(name, self.default)


def parse_request(
    body: bytes, header_length: str | None, *, view: View, version: str | None
) -> tuple[Request, Formats]:
    """What a body asks of a model, and how the answer is to be written; raises InvalidOption."""
    size = _read_header_length(header_length, len(body))
    document = parse_json(InferRequest, body[:size])
    formats = _read_formats(document)
    request = Request(
        view,
        version,
        inputs=tuple(_split_inputs(document, memoryview(body)[size:])),
        outputs=tuple(output.name for output in document.outputs),
        parameters={name: value for name, value in document.parameters.items() if name != BINARY_OUTPUT},
        id=document.id,
    )
    return request, formats


def write_reply(reply: Reply, formats: Formats) -> tuple[bytes, dict[str, str]]:
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


def _read_header_length(text: str | None, total: int) -> int:
    if text is None:
        return total
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= total):
        raise InvalidOption(
            f"Inference-Header-Content-Length is {text[:40]!r}, expected the length of the JSON: "
            f"at most {total}, as many bytes as the body has"
        )
    return int(text)


def parse_json(schema: type[B], content: bytes) -> B:
    """A body of JSON as its schema has it; raises InvalidOption."""
    try:
        return schema.model_validate(orjson.loads(content))
    except orjson.JSONDecodeError as error:
        raise InvalidOption(f"the body's JSON cannot be read: {error}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "the body"
        raise InvalidOption(f"{place:.80}: {fault['msg'][0].lower()}{fault['msg'][1:]}") from error


def _read_formats(document: InferRequest) -> Formats:
    default = document.parameters.get(BINARY_OUTPUT, False)
    if not isinstance(default, bool):
        raise InvalidOption(f"parameter {BINARY_OUTPUT} is {default!s:.40}, expected true or false")
    chosen = {output.name: output.parameters.binary_data for output in document.outputs}
    return Formats(default, {name: binary for name, binary in chosen.items() if binary is not None})


def _split_inputs(document: InferRequest, binary: memoryview) -> Iterator[Offered]:
    """The inputs, each with its part of what follows the JSON."""
    for each in document.inputs:
        size, raw = each.parameters.binary_data_size, None
        if size is not None:
            if each.data is not None or size > len(binary):
                raise InvalidOption(
                    f"input {each.name:.40} has binary_data_size {size}: it needs so many bytes after "
                    f"the JSON, where {len(binary)} are left, and no data in it"
                )
            raw, binary = binary[:size], binary[size:]
        yield Offered(each.name, each.datatype, tuple(each.shape), raw, each.data)
    if binary:
        raise InvalidOption(f"{len(binary)} bytes are left over after the last input")


def _list_elements(tensor: Tensor) -> object:
    """The elements one after the other; those of BYTES as text."""
    flat = tensor.array.ravel()
    return [element.decode() for element in flat] if tensor.datatype == BYTES else flat
