"""The options and headers that a request may carry, and the fast way to read them.

The endpoints declare these schemas, and the OpenAPI description comes out of the declarations.
"""

from collections import defaultdict
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.datastructures import Headers, QueryParams

from service.errors import InvalidOption, shorten
from service.inference.resolved_options import MOST_TOLERANT
from service.rest.problem import TIMEOUT, describe_fault, join_faults
from service.rest.scene import SceneOptions
from service.rest.schemas import Schema
from service.serving.streaming import Policy, RawFormat
from service.serving.tracking import Overlap
from service.types import TOLERANCE, MaskFormat, Nms, Options, Tiles

LISTS = {"classes"}

Timeout = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class CallHeaders(BaseModel):
    """The headers that an inference may carry."""

    x_request_timeout: Annotated[
        Timeout | None,
        Field(
            description="Longest wait in seconds until the work begins; at most the service's own limit.",
            examples=[0.5],
        ),
    ] = None
    x_request_id: Annotated[
        str | None,
        Field(
            description="The id of the request in the log; the answer repeats it. Letters, digits and "
            "._:/+=@-, up to 128; the service replaces any other text by a new id.",
            examples=["cam-7.42"],
        ),
    ] = None
    traceparent: Annotated[
        str | None,
        Field(
            description="W3C trace context of the caller. The answer carries that of this request.",
            examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        ),
    ] = None


class SegmentOptions(Schema):
    """The options of every segmentation."""

    model: Annotated[
        str | None,
        Field(description="The model that answers; see `/v1/models`. Default: the first of them."),
    ] = None
    version: Annotated[
        str | None,
        Field(description="The version of the model. Default: its newest."),
    ] = None
    score_threshold: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="Leaves out instances below this score. Default: the model's own.",
            examples=[0.5],
        ),
    ] = None
    max_instances: Annotated[
        int | None,
        Field(
            ge=1,
            description="Keeps this many instances at most, best scores first. Default: the model's own.",
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
            "over the mask's window only, with the window's place; `polygon`: rings along the pixels' edges; "
            "`contour`: the same with fewer corners, within `tolerance`; `none`: boxes only. COCO results "
            "always have `rle`; they, label maps and cut-outs refuse `none`.",
            examples=["rle_crop"],
        ),
    ] = "rle"
    exact: Annotated[
        bool | None,
        Field(
            description="Decodes a large JPEG in full before it is shrunk to the network's input, and not "
            "directly at a half, a quarter or an eighth. Slower; scores and edges differ a little, "
            "so instances of almost equal scores may change places. Default: the service's setting.",
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
    tolerance: Annotated[
        float,
        Field(
            ge=0,
            le=MOST_TOLERANT,
            description="With `masks=contour`: the farthest, in pixels, that a contour may leave the edge of "
            "its mask.",
            examples=[2],
        ),
    ] = TOLERANCE
    tiles: Annotated[
        Tiles | None,
        Field(
            description="Cuts a picture that is larger than the network's input into at most so many tiles, "
            "so that small objects are found, too; it takes that many times as long. `auto`: as many as "
            "show the picture at its full size, within the service's limit. Default: no tiles.",
            examples=["auto"],
        ),
    ] = None


class SegmentQuery(SegmentOptions):
    """The options of one segmentation; any other option is refused."""

    image_id: Annotated[
        Int64,
        Field(
            description="The `image_id` of an answer in `application/x-coco-results+json`.",
            examples=[397133],
        ),
    ] = 1
    format: Annotated[
        Literal["compressed", "uncompressed"],
        Field(
            description="`uncompressed`: run lengths as lists of numbers in the JSON, for readers without a "
            "decoder of COCO's text; with `masks=rle` or `rle_crop`.",
            examples=["uncompressed"],
        ),
    ] = "compressed"


class ModelQuery(Schema):
    """The version of a model."""

    version: Annotated[str | None, Field(description="The version of the model. Default: its newest.")] = None


class NoQuery(Schema):
    """No options."""


class LiveOptions(SegmentOptions):
    """The first message of a live stream."""

    policy: Annotated[
        Policy,
        Field(
            description="`latest`: a newer frame replaces one that waits; "
            "`all`: every frame is answered, in order, and frames are read no faster than that."
        ),
    ] = "latest"
    max_fps: Annotated[
        float | None,
        Field(
            gt=0, allow_inf_nan=False, description="Frames started per second, at most. Default: no limit."
        ),
    ] = None
    track: Annotated[bool, Field(description="Gives instances a `track_id` that lasts across frames.")] = (
        False
    )
    track_overlap: Annotated[Overlap, Field(description="Follows instances by their boxes or masks.")] = "box"
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
            description="Instances of this score begin a `track_id`; those of half of it continue one. The "
            "answer leaves out those below the `score_threshold`, which is the default.",
        ),
    ] = None
    scene: Annotated[
        SceneOptions | None,
        Field(description="Zones and lines whose events and counts come with every answer; needs `track`."),
    ] = None


class RawFrames(Schema):
    """The layout of raw pixels in a binary message: row by row without padding."""

    format: RawFormat
    height: int = Field(ge=1)
    width: int = Field(ge=1)


class FrameHeader(Schema):
    """A text message about the binary message that follows it, or about the end of the stream."""

    frame_id: Annotated[
        Int64 | None,
        Field(description="The answer repeats it. Default: 0, 1, ... in the order of arrival."),
    ] = None
    capture_time_us: Annotated[
        Int64 | None, Field(description="Microseconds of the camera's clock; the answer repeats them.")
    ] = None
    raw: Annotated[RawFrames | None, Field(description="Default: the frame is an encoded image.")] = None
    end: Annotated[
        bool,
        Field(description="No frame follows: the service answers those that came and closes the stream."),
    ] = False


@lru_cache(64)  # clients repeat their queries
def read_query(query_string: bytes) -> SegmentQuery:
    """The options of a query; raises InvalidOption where one is unknown, repeated, or out of range.

    One validation of the whole model: FastAPI reads parameter by parameter.
    """
    given: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in QueryParams(query_string).multi_items():
        given[name].append(value)
    for name, values in given.items():
        if name not in LISTS and len(values) > 1:
            raise InvalidOption(f"{shorten(name, 40)} is given {len(values)} times, expected once")
    content = {name: values if name in LISTS else values[0] for name, values in given.items()}
    try:
        return SegmentQuery.model_validate(content)
    except ValidationError as error:
        faults = [describe_fault(item["type"], str(item["loc"][0]), item["msg"]) for item in error.errors()]
        raise InvalidOption(join_faults(faults)) from error


def read_timeout(headers: Headers) -> float | None:
    """The caller's longest wait in seconds; raises InvalidOption where it is out of range."""
    asked = headers.get(TIMEOUT)
    if asked is None:
        return None
    try:
        return _timeout.validate_python(asked)
    except ValidationError as error:
        (fault,) = error.errors()
        raise InvalidOption(describe_fault(fault["type"], TIMEOUT, fault["msg"])) from error


def query_to_options(query: SegmentOptions) -> Options:
    """The options of a query; raises InvalidOption where `classes` names no label."""
    names = tuple(name.strip() for part in query.classes for name in part.split(",") if name.strip())
    if query.classes and not names:
        raise InvalidOption("classes is empty: name at least one label, or leave it out for all")
    return Options(
        query.score_threshold,
        query.max_instances,
        names or None,
        query.masks,
        query.exact,
        query.nms,
        query.tolerance,
        query.tiles,
    )


_timeout: TypeAdapter[float] = TypeAdapter(Timeout)
