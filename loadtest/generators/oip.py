"""Requests and replies of the Open Inference Protocol v2: an image in, instances out, all as tensors.

Over REST the image is binary tensor data and the outputs are JSON; over gRPC both are raw bytes.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from loadtest.types import Ask, Photo, to_parameters
from service.rpc.generated import grpc_predict_v2_pb2 as pb

Tensors: TypeAlias = Mapping[str, Sequence[object]]

METHOD = "/inference.GRPCInferenceService/ModelInfer"
_INPUT = "image"
_LENGTH = struct.Struct("<I")  # in front of each element of BYTES
_DTYPES = {"INT64": "<i8", "FP32": "<f4"}


@dataclass(frozen=True, slots=True)
class Reply:
    """The model that answered, and its outputs by name, each flattened."""

    model: str
    version: str
    tensors: Tensors


def infer_path(ask: Ask) -> str:
    """The path of a model over REST."""
    return f"/v2/models/{ask.model}/infer"


def pack_document(ask: Ask, photo: Photo) -> tuple[bytes, int]:
    """The body of a REST request, and the number of its first bytes that are JSON."""
    document = {
        "parameters": to_parameters(ask),
        "inputs": [
            {
                "name": _INPUT,
                "datatype": "BYTES",
                "shape": [1],
                "parameters": {"binary_data_size": _LENGTH.size + len(photo.data)},
            }
        ],
    }
    head = json.dumps(document).encode()
    return b"".join((head, _LENGTH.pack(len(photo.data)), photo.data)), len(head)


def pack_message(ask: Ask, photo: Photo) -> pb.ModelInferRequest:
    """The gRPC request."""
    return pb.ModelInferRequest(
        model_name=ask.model or "",
        inputs=[pb.ModelInferRequest.InferInputTensor(name=_INPUT, datatype="BYTES", shape=[1])],
        raw_input_contents=[_LENGTH.pack(len(photo.data)) + photo.data],
        parameters={name: _to_parameter(value) for name, value in to_parameters(ask).items()},
    )


def read_document(body: bytes) -> Reply:
    """The reply in a JSON body; raises ValueError when the body is none."""
    try:
        fields = json.loads(body)
        tensors = {output["name"]: output["data"] for output in fields["outputs"]}
        return Reply(fields["model_name"], fields["model_version"], tensors)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the body is no reply of the Open Inference Protocol: {error!r}") from error


def read_message(body: bytes) -> Reply:
    """The reply in a gRPC message with raw outputs."""
    message = pb.ModelInferResponse.FromString(body)
    pairs = zip(message.outputs, message.raw_output_contents, strict=True)
    tensors = {output.name: _read_raw(output.datatype, raw) for output, raw in pairs}
    return Reply(message.model_name, message.model_version, tensors)


def _read_raw(datatype: str, raw: bytes) -> Sequence[object]:
    if datatype in _DTYPES:
        return np.frombuffer(raw, _DTYPES[datatype]).tolist()  # type: ignore[no-any-return]  # of any dtype
    return list(_split_texts(raw))


def _split_texts(raw: bytes) -> Iterator[str]:
    place = 0
    while place < len(raw):
        (length,) = _LENGTH.unpack_from(raw, place)
        place += _LENGTH.size + length
        yield raw[place - length : place].decode()


def _to_parameter(value: str | float) -> pb.InferParameter:
    match value:
        case str():
            return pb.InferParameter(string_param=value)
        case int():
            return pb.InferParameter(int64_param=value)
        case _:
            return pb.InferParameter(double_param=value)
