"""The vocabulary of streams: what a camera sends and how, and the answer to each of its frames.

The client package carries this module too, so it imports nothing but errors, types and scenes.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from service.errors import InvalidOption
from service.events.report import Report
from service.events.scene import Scene
from service.types import Options, Segmentation, Size, Summary

Policy: TypeAlias = Literal["latest", "all"]
Overlap: TypeAlias = Literal["box", "mask"]
RawFormat: TypeAlias = Literal["rgb", "bgr", "i420"]


@dataclass(frozen=True, slots=True)
class RawImage:
    """Pixels as a camera gives them, row by row without padding.

    rgb, bgr: three bytes a pixel. i420: the plane of Y, then those of U and V at half the size both ways.
    """

    format: RawFormat
    size: Size
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Raises InvalidOption where a value is out of range.

    segment: the options of every frame.
    policy: "latest": a newer frame takes the place of one that waits, so that answers are fresh.
        "all": every frame is answered; the stream is read no faster than that.
    max_fps: no more frames than this are begun in a second; None: as many as there are slots for.
    track: give the instances identities, by the overlap of their boxes or masks; `track_memory` is for how
        many seconds an object that is out of sight keeps its own. Instances begin an identity from the score
        `track_threshold` on, and continue one from half of it on; None: the score threshold. Instances below
        the score threshold are never reported. A tracked object has the label of most of its instances.
    scene: the zones and lines whose events and counts come with the answers; it needs `track`.
    """

    segment: Options = field(default_factory=Options)
    policy: Policy = "latest"
    max_fps: float | None = None
    track: bool = False
    track_overlap: Overlap = "box"
    track_memory: float = 1.0
    track_threshold: float | None = None
    scene: Scene | None = None

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise InvalidOption(f"policy is {self.policy!r}, expected one of {', '.join(get_args(Policy))}")
        if self.max_fps is not None and not 0 < self.max_fps < math.inf:
            raise InvalidOption(f"max_fps is {self.max_fps}, expected a number above 0")
        if self.track_overlap not in get_args(Overlap):
            raise InvalidOption(f"track_overlap is {self.track_overlap!r}, expected box or mask")
        if self.track_threshold is not None and not 0 <= self.track_threshold <= 1:
            raise InvalidOption(f"track_threshold is {self.track_threshold}, expected 0 to 1")
        if self.track and self.track_overlap == "mask" and self.segment.masks == "none":
            raise InvalidOption('to track by masks, ask for masks "rle"; without them, track by boxes')
        if self.scene is not None and not self.track:
            raise InvalidOption("a scene needs track: events belong to objects that are followed")


@dataclass(frozen=True, slots=True)
class Rendered:
    """The answer for a frame in the bytes of its transport, written by the process that computed it."""

    summary: Summary
    content: bytes


Outcome: TypeAlias = Segmentation | Rendered | Exception


@dataclass(frozen=True, slots=True)
class FrameResult:
    """The answer for one frame, or the error that came instead; clients get no answer as `Rendered`.

    age_ms: from when the frame was read to this answer; queue_ms of it, it waited for a worker slot.
    dropped: how many frames of the stream were not answered so far.
    report: the events and counts, where the stream has a scene and the frame an answer.
    """

    id: int
    captured_us: int | None
    outcome: Outcome
    age_ms: float
    queue_ms: float
    dropped: int
    report: Report | None = None
