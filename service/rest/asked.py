"""What the OpenAPI description says of requests: the options, headers and names that may be asked."""

from typing import Annotated

from fastapi import Path
from pydantic import Field

from service.rest.schemas import Schema
from service.serving.streaming import Policy, RawFormat
from service.serving.tracking import Overlap
from service.types import MaskFormat, Nms

Timeout = Annotated[
    float,
    Field(
        gt=0,
        allow_inf_nan=False,
        description="Seconds the caller waits for the work to begin; at most the service's own limit.",
        examples=[0.5],
    ),
]
RequestId = Annotated[
    str,
    Field(
        description="By which log lines are found; comes back with the answer. Letters, digits and ._:/+=@-, "
        "up to 128; anything else is replaced by a new one.",
        examples=["cam-7.42"],
    ),
]
Traceparent = Annotated[
    str,
    Field(
        description="W3C trace context: the caller's place in a trace. The answer names this request's.",
        examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    ),
]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class AskedOptions(Schema):
    """What may be asked of every segmentation."""

    model: Annotated[
        str | None,
        Field(description="Which model answers; see `/v1/models`. Default: the first of them."),
    ] = None
    version: Annotated[
        str | None,
        Field(description="Which version of the model. Default: its newest."),
    ] = None
    score_threshold: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="Instances below this score are left out. Default: the model's own.",
            examples=[0.5],
        ),
    ] = None
    max_instances: Annotated[
        int | None,
        Field(
            ge=1,
            description="The best scores are kept, so many at most. Default: the model's own.",
            examples=[20],
        ),
    ] = None
    classes: Annotated[
        list[str],
        Field(description="Labels to keep, separated by commas or repeated. Default: all."),
    ] = []  # noqa: RUF012  # pydantic copies it
    masks: Annotated[
        MaskFormat,
        Field(
            description="`rle`: COCO's compressed run lengths over the whole image; `rle_crop`: the same "
            "over the mask's window only, and where that lies; `polygon`: rings along the pixels' edges; "
            "`none`: boxes only. COCO results always have `rle`; they and label maps cannot do with `none`.",
            examples=["polygon"],
        ),
    ] = "rle"
    exact: Annotated[
        bool | None,
        Field(
            description="Decode a large JPEG in full before it is shrunk to the network's input, and not "
            "straight to a half, a quarter or an eighth. Slower; scores and edges differ a little, "
            "and with them the order of what is about as likely. Default: the service's setting.",
            examples=[True],
        ),
    ] = None
    nms: Annotated[
        Nms,
        Field(
            description="Of objects with nearly the same box only the best stays. `class` compares objects "
            "of one class, so that one object may get several labels; `all` compares all objects.",
            examples=["all"],
        ),
    ] = "class"


class SegmentQuery(AskedOptions):
    """What may be asked of one segmentation; an option that is not here is refused."""

    image_id: Annotated[
        Int64,
        Field(
            description="The `image_id` of an answer in `application/x-coco-results+json`.",
            examples=[397133],
        ),
    ] = 1


class ModelQuery(Schema):
    """Which version of a model."""

    version: Annotated[str | None, Field(description="Which version of the model. Default: its newest.")] = (
        None
    )


ModelName = Annotated[str, Path(description="The model's name, as in `/v1/models`.")]


class NoQuery(Schema):
    """No option is known."""


class LiveOptions(AskedOptions):
    """The first message of a live stream."""

    policy: Annotated[
        Policy,
        Field(
            description="`latest`: a newer frame takes the place of one that waits; "
            "`all`: every frame is answered, in order, and read no faster than that."
        ),
    ] = "latest"
    max_fps: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False, description="Frames begun in a second, at most. Default: no limit."),
    ] = None
    track: Annotated[bool, Field(description="Give instances a `track_id` that lasts across frames.")] = False
    track_overlap: Annotated[Overlap, Field(description="Follow instances by their boxes or masks.")] = "box"
    track_memory_s: Annotated[
        float,
        Field(
            ge=0, allow_inf_nan=False, description="Seconds out of sight after which a `track_id` is lost."
        ),
    ] = 1.0
    track_threshold: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="Instances of this score begin a `track_id`; those of half of it continue one, even "
            "below the `score_threshold`. Default: the `score_threshold`.",
        ),
    ] = None


class RawFrames(Schema):
    """That a binary message holds raw pixels, row by row without padding."""

    format: RawFormat
    height: int = Field(ge=1)
    width: int = Field(ge=1)


class FrameHeader(Schema):
    """A text message about the binary message that follows it, or about the end of the stream."""

    frame_id: Annotated[
        Int64 | None, Field(description="Comes back with the answer. Default: 0, 1, ... as frames arrive.")
    ] = None
    capture_time_us: Annotated[
        Int64 | None, Field(description="Microseconds of the camera's clock; comes back with the answer.")
    ] = None
    raw: Annotated[RawFrames | None, Field(description="Default: the frame is an encoded image.")] = None
    end: Annotated[
        bool, Field(description="No frame follows: answer those that came, then close the stream.")
    ] = False
