"""Options from messages of blitzmask.v1, and models to them."""

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from service.errors import InvalidOption
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.rendering import backend_to_proto
from service.serving.engine import Model
from service.types import (
    MaskFormat,
    Nms,
    Options,
)

MASKS: dict[int, MaskFormat] = {
    pb.MASK_FORMAT_UNSPECIFIED: "rle",
    pb.MASK_FORMAT_NONE: "none",
    pb.MASK_FORMAT_RLE: "rle",
    pb.MASK_FORMAT_RLE_CROP: "rle_crop",
    pb.MASK_FORMAT_POLYGON: "polygon",
}

NMS: dict[int, Nms] = {pb.NMS_UNSPECIFIED: "class", pb.NMS_CLASS: "class", pb.NMS_ALL: "all"}


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
    )


def refuse_unknown(message: Message) -> None:
    """Raises InvalidOption when a message has fields that this service does not know."""
    unknown = UnknownFieldSet(message)
    if len(unknown):
        numbers = ", ".join(str(unknown[index].field_number) for index in range(min(len(unknown), 8)))
        raise InvalidOption(f"{message.DESCRIPTOR.name} has no field {numbers} in this service")


def model_to_proto(model: Model) -> pb.Model:
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
