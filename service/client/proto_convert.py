"""Requests to messages of blitzmask.v1, and answers from them."""

from collections.abc import Mapping

from service.client.answers import ModelInfo, ModelList
from service.client.failures import frame_to_error
from service.client.scene_convert import report_from_proto, scene_to_proto
from service.frames import FrameResult, Overlap, Policy, RawFormat, RawImage, StreamOptions
from service.rpc.generated import segmentation_pb2 as pb
from service.types import (
    BackendInfo,
    Instance,
    MaskForm,
    MaskFormat,
    Nms,
    Options,
    Polygon,
    Rle,
    RleCrop,
    Segmentation,
    Size,
    Timings,
)

MASKS: Mapping[MaskFormat, pb.MaskFormat] = {
    "rle": pb.MASK_FORMAT_RLE,
    "rle_crop": pb.MASK_FORMAT_RLE_CROP,
    "polygon": pb.MASK_FORMAT_POLYGON,
    "contour": pb.MASK_FORMAT_CONTOUR,
    "none": pb.MASK_FORMAT_NONE,
}
NMS: Mapping[Nms, pb.Nms] = {"class": pb.NMS_CLASS, "all": pb.NMS_ALL}
POLICIES: Mapping[Policy, pb.FramePolicy] = {"latest": pb.FRAME_POLICY_LATEST, "all": pb.FRAME_POLICY_ALL}
OVERLAPS: Mapping[Overlap, pb.TrackOverlap] = {"box": pb.TRACK_OVERLAP_BOX, "mask": pb.TRACK_OVERLAP_MASK}
RAW_FORMATS: Mapping[RawFormat, pb.RawFormat] = {
    "rgb": pb.RAW_FORMAT_RGB,
    "bgr": pb.RAW_FORMAT_BGR,
    "i420": pb.RAW_FORMAT_I420,
}


def options_to_proto(options: Options, *, model: str | None, version: str | None) -> pb.SegmentOptions:
    """The options of one image, or of every frame."""
    return pb.SegmentOptions(
        model=model or "",
        version=version or "",
        score_threshold=options.score_threshold,
        max_instances=options.max_instances,
        classes=options.classes or (),
        masks=MASKS[options.masks],
        exact=options.exact,
        nms=NMS[options.nms],
        tolerance=options.tolerance if options.masks == "contour" else None,
        tiles="" if options.tiles is None else str(options.tiles),
    )


def stream_options_to_proto(
    options: StreamOptions, *, model: str | None, version: str | None
) -> pb.StreamOptions:
    """The options of a stream."""
    return pb.StreamOptions(
        segment=options_to_proto(options.segment, model=model, version=version),
        policy=POLICIES[options.policy],
        max_fps=options.max_fps,
        track=options.track,
        track_overlap=OVERLAPS[options.track_overlap],
        track_memory_s=options.track_memory,
        track_threshold=options.track_threshold,
        scene=None if options.scene is None else scene_to_proto(options.scene),
    )


def frame_to_proto(number: int, captured_us: int | None, picture: bytes | RawImage) -> pb.Frame:
    """One picture of a stream."""
    message = pb.Frame(frame_id=number, capture_time_us=captured_us)
    if isinstance(picture, bytes):
        message.image = picture
    else:
        size = pb.ImageSize(height=picture.size.height, width=picture.size.width)
        raw = pb.RawImage(format=RAW_FORMATS[picture.format], size=size, data=picture.data)
        message.raw.CopyFrom(raw)
    return message


def result_from_proto(message: pb.FrameResult) -> FrameResult:
    """The answer for one frame, or the error that came instead."""
    failed = message.WhichOneof("outcome") == "error"
    return FrameResult(
        id=message.frame_id,
        captured_us=message.capture_time_us if message.HasField("capture_time_us") else None,
        outcome=frame_to_error(message.error.code, message.error.message, message.error.type)
        if failed
        else segmentation_from_proto(message.response),
        age_ms=message.age_ms,
        queue_ms=message.response.timings_ms.queue,
        dropped=message.dropped,
        report=report_from_proto(message.report) if message.HasField("report") else None,
    )


def segmentation_from_proto(message: pb.SegmentResponse) -> Segmentation:
    """The answer for one image."""
    spent = message.timings_ms
    return Segmentation(
        image=_size_from_proto(message.image),
        instances=tuple(_instance_from_proto(instance) for instance in message.instances),
        model=message.model,
        version=message.version,
        backend=_backend_from_proto(message.backend),
        timings=Timings(spent.decode, spent.prepare, spent.infer, spent.postprocess, spent.masks),
    )


def models_from_proto(message: pb.ListModelsResponse) -> ModelList:
    """Every model that answers."""
    models = tuple(_model_from_proto(model) for model in message.models)
    return ModelList(models, dict(message.refused), tuple(message.unloaded))


def _model_from_proto(message: pb.Model) -> ModelInfo:
    return ModelInfo(
        name=message.name,
        version=message.version,
        description=message.description,
        network=message.network,
        input=_size_from_proto(message.input),
        categories={category.name: category.id for category in message.categories},
        score_threshold=message.score_threshold,
        max_instances=message.max_instances,
        parameters=message.parameters,
        multiply_adds=message.multiply_adds,
        backend=_backend_from_proto(message.backend),
    )


def _instance_from_proto(message: pb.Instance) -> Instance:
    x, y, width, height = message.bbox
    return Instance(
        label=message.label,
        category_id=message.category_id,
        score=message.score,
        bbox=(x, y, width, height),
        area=message.area if message.HasField("area") else None,
        segmentation=_form_from_proto(message),
        track_id=message.track_id if message.HasField("track_id") else None,
    )


def _form_from_proto(message: pb.Instance) -> MaskForm | None:
    match message.WhichOneof("segmentation"):
        case "rle":
            return _rle_from_proto(message.rle)
        case "rle_crop":
            x, y = message.rle_crop.offset
            return RleCrop(_rle_from_proto(message.rle_crop), x, y)
        case "polygon":
            return Polygon(tuple(tuple(ring.corners) for ring in message.polygon.rings))
        case _:
            return None


def _rle_from_proto(message: pb.Rle | pb.RleCrop) -> Rle:
    height, width = message.size
    return Rle(Size(height, width), message.counts)


def _size_from_proto(message: pb.ImageSize) -> Size:
    return Size(message.height, message.width)


def _backend_from_proto(message: pb.Backend) -> BackendInfo:
    return BackendInfo(
        runtime=message.runtime,
        runtime_version=message.runtime_version,
        precision=message.precision,  # type: ignore[arg-type]  # the server's word for it
        threads=message.threads,
        asked=tuple(message.asked),
        in_effect=tuple(message.in_effect),
    )
