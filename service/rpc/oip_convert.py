"""Requests and replies of the Open Inference Protocol as messages."""

from collections.abc import Iterator, Mapping

from service.errors import InvalidOption
from service.oip.inference import Reply, Request
from service.oip.tensors import Offered, write_tensor
from service.oip.views import find_view
from service.rpc.convert import refuse_unknown
from service.rpc.generated import grpc_predict_v2_pb2 as pb
from service.serving.engine import Models

CONTENTS = {"UINT8": "uint_contents", "BYTES": "bytes_contents"}  # those that some model takes


def request_from_proto(message: pb.ModelInferRequest, catalog: Models) -> Request:
    """What is asked, of which model; raises ModelNotFound, InvalidOption."""
    view = find_view(catalog, message.model_name, message.model_version)
    refuse_unknown(message)
    asked = [name for part in message.inputs for name in part.parameters]
    asked += [name for part in message.outputs for name in part.parameters]
    if asked:
        raise InvalidOption(
            f"{min(asked):.40} is no parameter of a tensor here; its elements are always in the message"
        )
    return Request(
        view,
        message.model_version or None,
        inputs=tuple(_split_inputs(message)),
        outputs=tuple(output.name for output in message.outputs),
        parameters=dict(_read_parameters(message.parameters)),
        id=message.id,
    )


def reply_to_proto(reply: Reply) -> pb.ModelInferResponse:
    """The response, its elements as they lie in memory."""
    outputs = [
        pb.ModelInferResponse.InferOutputTensor(
            name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape
        )
        for tensor in reply.outputs
    ]
    return pb.ModelInferResponse(
        model_name=reply.name,
        model_version=reply.version,
        id=reply.id,
        parameters={name: _write_parameter(value) for name, value in reply.parameters.items()},
        outputs=outputs,
        raw_output_contents=[write_tensor(tensor) for tensor in reply.outputs],
    )


def _split_inputs(message: pb.ModelInferRequest) -> Iterator[Offered]:
    """The inputs, raw or one by one."""
    raws = message.raw_input_contents
    if raws and len(raws) != len(message.inputs):
        raise InvalidOption(f"there are {len(message.inputs)} inputs and {len(raws)} raw_input_contents")
    for place, each in enumerate(message.inputs):
        if raws and each.HasField("contents"):
            raise InvalidOption(
                f"input {each.name:.40} has contents beside raw_input_contents: give one of them"
            )
        field = CONTENTS.get(each.datatype)
        values = None if raws or field is None else tuple(getattr(each.contents, field))
        yield Offered(each.name, each.datatype, tuple(each.shape), raws[place] if raws else None, values)


def _read_parameters(parameters: Mapping[str, pb.InferParameter]) -> Iterator[tuple[str, object]]:
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is None:
            raise InvalidOption(f"parameter {name:.40} has no value")
        yield name, getattr(parameter, choice)


def _write_parameter(value: str | int) -> pb.InferParameter:
    if isinstance(value, int):
        return pb.InferParameter(int64_param=value)
    return pb.InferParameter(string_param=value)
