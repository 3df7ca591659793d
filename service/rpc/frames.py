"""Frames, their results and a stream's options as messages of blitzmask.v1."""

from collections.abc import Mapping
from typing import TypeVar

from service.errors import InvalidImage, InvalidOption
from service.rpc.convert import answer_to_proto, error_to_frame, options_from_proto, refuse_unknown
from service.rpc.generated import segmentation_pb2 as pb
from service.serving.streaming import Frame, FrameResult, Picture, Policy, RawFormat, RawImage, StreamOptions
from service.serving.tracking import Overlap
from service.types import Answer, Segmentation, Size

T = TypeVar("T")

POLICIES: dict[int, Policy] = {
    pb.FRAME_POLICY_UNSPECIFIED: "latest",
    pb.FRAME_POLICY_LATEST: "latest",
    pb.FRAME_POLICY_ALL: "all",
}
OVERLAPS: dict[int, Overlap] = {
    pb.TRACK_OVERLAP_UNSPECIFIED: "box",
    pb.TRACK_OVERLAP_BOX: "box",
    pb.TRACK_OVERLAP_MASK: "mask",
}
RAW_FORMATS: dict[int, RawFormat] = {
    pb.RAW_FORMAT_RGB: "rgb",
    pb.RAW_FORMAT_BGR: "bgr",
    pb.RAW_FORMAT_I420: "i420",
}


def stream_options_from_proto(asked: pb.StreamOptions) -> StreamOptions:
    """The options of a stream; raises InvalidOption where one is unknown here, or out of range."""
    refuse_unknown(asked)
    return StreamOptions(
        segment=options_from_proto(asked.segment),
        policy=_look_up(POLICIES, asked.policy, "policy"),
        max_fps=asked.max_fps if asked.HasField("max_fps") else None,
        track=asked.track,
        track_overlap=_look_up(OVERLAPS, asked.track_overlap, "track_overlap"),
        track_memory=asked.track_memory_s if asked.HasField("track_memory_s") else 1.0,
        track_threshold=asked.track_threshold if asked.HasField("track_threshold") else None,
    )


def frame_from_proto(message: pb.Frame, *, first: bool, arrived: float) -> Frame:
    """A frame, with what is wrong with it in the place of its picture."""
    picture: Picture
    try:
        refuse_unknown(message)
        if message.HasField("options") and not first:
            raise InvalidOption("options belong into the stream's first message")
        picture = _picture_from_proto(message)
    except (InvalidOption, InvalidImage) as error:
        picture = error
    captured_us = message.capture_time_us if message.HasField("capture_time_us") else None
    return Frame(message.frame_id, captured_us, picture, arrived)


def result_to_proto(result: FrameResult) -> pb.FrameResult:
    """The same result as the live stream's JSON."""
    message = pb.FrameResult(
        frame_id=result.id, capture_time_us=result.captured_us, age_ms=result.age_ms, dropped=result.dropped
    )
    if isinstance(result.outcome, Segmentation):
        message.response.CopyFrom(answer_to_proto(Answer(result.outcome, result.queue_ms)))
    else:
        message.error.CopyFrom(error_to_frame(result.outcome))
    return message


def _picture_from_proto(message: pb.Frame) -> Picture:
    if message.WhichOneof("content") == "raw":
        return _raw_from_proto(message.raw)
    if not message.image:
        raise InvalidImage("the frame has no image: 0 bytes")
    return message.image


def _raw_from_proto(raw: pb.RawImage) -> RawImage:
    refuse_unknown(raw)
    if raw.size.height < 1 or raw.size.width < 1:
        raise InvalidImage(f"the raw image's size is {raw.size.width} x {raw.size.height} pixels")
    return RawImage(
        _look_up(RAW_FORMATS, raw.format, "raw.format"), Size(raw.size.height, raw.size.width), raw.data
    )


def _look_up(known: Mapping[int, T], value: int, name: str) -> T:
    if value not in known:
        raise InvalidOption(f"{name} is {value}, which this service does not know")
    return known[value]
