"""Messages of both protocols from the service's types, and options from messages.

The processes that compute import this module to write answers, so it imports neither gRPC nor the engine.
"""

from dataclasses import fields
from typing import TYPE_CHECKING, assert_never

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from service.errors import InvalidOption
from service.inference.resolved_options import parse_tiles
from service.oip.tensors import write_tensor
from service.rpc.generated import grpc_predict_v2_pb2 as oip_pb
from service.rpc.generated import segmentation_pb2 as pb
from service.types import (
    STAGES,
    TOLERANCE,
    Answer,
    BackendInfo,
    Instance,
    MaskForm,
    MaskFormat,
    Nms,
    Options,
    Polygon,
    Rle,
    RleCrop,
    Timings,
)

if TYPE_CHECKING:
    from service.oip.inference import Reply
    from service.serving.engine import Model

FINAL = "triton_final_response"

MASKS: dict[int, MaskFormat] = {
    pb.MASK_FORMAT_UNSPECIFIED: "rle",
    pb.MASK_FORMAT_NONE: "none",
    pb.MASK_FORMAT_RLE: "rle",
    pb.MASK_FORMAT_RLE_CROP: "rle_crop",
    pb.MASK_FORMAT_POLYGON: "polygon",
    pb.MASK_FORMAT_CONTOUR: "contour",
}

NMS: dict[int, Nms] = {pb.NMS_UNSPECIFIED: "class", pb.NMS_CLASS: "class", pb.NMS_ALL: "all"}


def render_answer(answer: Answer) -> bytes:
    """The bytes of a `SegmentResponse`, made where the answer is computed."""
    return answer_to_proto(answer).SerializeToString()


def answer_to_proto(answer: Answer) -> pb.SegmentResponse:
    """The answer for one image, with the same content as the native JSON."""
    found = answer.segmentation
    return pb.SegmentResponse(
        image=pb.ImageSize(height=found.image.height, width=found.image.width),
        instances=[_instance_to_proto(instance) for instance in found.instances],
        model=found.model,
        version=found.version,
        backend=backend_to_proto(found.backend),
        timings_ms=_timings_to_proto(found.timings, answer.queue_ms),
    )


def frame_field(number: int, content: bytes) -> bytes:
    """A field of bytes or of a message, as it stands in a message that has been written.

    >>> list(frame_field(1, b"ab"))
    [10, 2, 97, 98]
    """
    return _write_varint(number << 3 | 2) + _write_varint(len(content)) + content


def _write_varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def render_reply(reply: "Reply") -> bytes:
    """The bytes of a `ModelInferResponse`, made where the reply is computed."""
    return reply_to_proto(reply).SerializeToString()


def render_stream_reply(reply: "Reply") -> bytes:
    """The bytes of a `ModelStreamInferResponse`, made where the reply is computed."""
    response = reply_to_proto(reply)
    response.parameters[FINAL].bool_param = True
    return oip_pb.ModelStreamInferResponse(infer_response=response).SerializeToString()


def reply_to_proto(reply: "Reply") -> oip_pb.ModelInferResponse:
    """The response, with its elements as raw bytes."""
    outputs = [
        oip_pb.ModelInferResponse.InferOutputTensor(
            name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape
        )
        for tensor in reply.outputs
    ]
    return oip_pb.ModelInferResponse(
        model_name=reply.name,
        model_version=reply.version,
        id=reply.id,
        parameters={name: _write_parameter(value) for name, value in reply.parameters.items()},
        outputs=outputs,
        raw_output_contents=[write_tensor(tensor) for tensor in reply.outputs],
    )


def _instance_to_proto(instance: Instance) -> pb.Instance:
    message = pb.Instance(
        label=instance.label,
        category_id=instance.category_id,
        score=instance.score,
        bbox=instance.bbox,
        area=instance.area,
        track_id=instance.track_id,
    )
    if instance.segmentation is not None:
        _put_form(message, instance.segmentation)
    return message


def _put_form(message: pb.Instance, form: MaskForm) -> None:
    match form:
        case Rle(size, counts):
            message.rle.CopyFrom(pb.Rle(size=[size.height, size.width], counts=counts))
        case RleCrop(Rle(size, counts), x, y):
            crop = pb.RleCrop(size=[size.height, size.width], counts=counts, offset=[x, y])
            message.rle_crop.CopyFrom(crop)
        case Polygon(rings):
            message.polygon.CopyFrom(pb.Polygon(rings=[pb.Ring(corners=ring) for ring in rings]))
        case _:
            assert_never(form)


# Field by field, because dataclasses.asdict copies deeply and takes half as long as the whole message.
def _timings_to_proto(timings: Timings, queue_ms: float) -> pb.Timings:
    stages = {stage: getattr(timings, stage) for stage in STAGES}
    return pb.Timings(queue=queue_ms, total=timings.total, **stages)


def backend_to_proto(backend: BackendInfo) -> pb.Backend:
    return pb.Backend(**{field.name: getattr(backend, field.name) for field in fields(backend)})


def _write_parameter(value: str | int) -> oip_pb.InferParameter:
    if isinstance(value, int):
        return oip_pb.InferParameter(int64_param=value)
    return oip_pb.InferParameter(string_param=value)


def options_from_proto(asked: pb.SegmentOptions) -> Options:
    """The options of a request; raises InvalidOption when this service does not know one."""
    refuse_unknown(asked)
    if asked.masks not in MASKS:
        raise InvalidOption(f"masks is {asked.masks}, which is no MaskFormat of this service")
    if asked.nms not in NMS:
        raise InvalidOption(f"nms is {asked.nms}, which is no Nms of this service")
    return Options(
        score_threshold=asked.score_threshold if asked.HasField("score_threshold") else None,
        max_instances=asked.max_instances if asked.HasField("max_instances") else None,
        classes=tuple(asked.classes) or None,
        masks=MASKS[asked.masks],
        exact=asked.exact if asked.HasField("exact") else None,
        nms=NMS[asked.nms],
        tolerance=asked.tolerance if asked.HasField("tolerance") else TOLERANCE,
        tiles=parse_tiles(asked.tiles),
    )


def refuse_unknown(message: Message) -> None:
    """Raises InvalidOption when a message has fields that this service does not know."""
    unknown = UnknownFieldSet(message)
    if len(unknown):
        numbers = ", ".join(str(unknown[index].field_number) for index in range(min(len(unknown), 8)))
        raise InvalidOption(f"{message.DESCRIPTOR.name} has no field {numbers} in this service")


def model_to_proto(model: "Model") -> pb.Model:
    """The description of a model for clients."""
    card = model.card
    return pb.Model(
        name=card.name,
        version=card.version,
        description=card.description,
        network=card.network,
        input=pb.ImageSize(height=card.canvas.height, width=card.canvas.width),
        labels=[label.name for label in card.labels],
        categories=[pb.Category(id=label.category_id, name=label.name) for label in card.labels],
        score_threshold=card.decoder.score_threshold,
        max_instances=card.decoder.max_instances,
        parameters=card.parameters,
        multiply_adds=card.multiply_adds,
        backend=backend_to_proto(model.backend.describe()),
    )
