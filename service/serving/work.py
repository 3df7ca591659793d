"""The works of the engine: one image of a request, one picture of a stream.

They run where the models are, in a compute process or a thread, and hold nothing that cannot travel there.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from service.compute.task import Turn
from service.errors import BlitzError
from service.inference.model import Model
from service.serving.streaming.frame import Picture, raw_to_pixels
from service.types import Answer, Options, Segmentation, seconds_to_ms

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SegmentWork(Generic[T]):
    """Gives the answer for an encoded image, and what `render` makes of it.

    `render` is a function of a module, or a partial of one, so that it can travel.
    Raises InvalidImage, ImageTooLarge, InvalidOption.
    """

    model: Model
    image: bytes
    options: Options
    render: Callable[[Answer], T]

    def __call__(self, turn: Turn) -> tuple[Answer, T]:
        found = self.model.segment(self.image, self.options, crowded=turn.crowded)
        answer = Answer(found, seconds_to_ms(turn.waited_s))
        begun = time.perf_counter()
        rendered = self.render(answer)
        return replace(answer, render_ms=seconds_to_ms(time.perf_counter() - begun)), rendered


@dataclass(frozen=True, slots=True)
class FrameWork:
    """Gives the instances in a picture of a stream, encoded or raw.

    Raises InvalidImage, ImageTooLarge, InvalidOption, and the error that stands in the picture's place.
    """

    model: Model
    picture: Picture
    options: Options

    @property
    def image(self) -> bytes:
        """The bytes of the picture."""
        if isinstance(self.picture, BlitzError):
            return b""
        return self.picture if isinstance(self.picture, bytes) else self.picture.data

    def __call__(self, turn: Turn) -> Segmentation:
        picture = self.picture
        if isinstance(picture, bytes):
            return self.model.segment(picture, self.options, crowded=turn.crowded)
        if isinstance(picture, BlitzError):
            raise picture
        begun = time.perf_counter()
        pixels = raw_to_pixels(picture, self.model.limits)
        decode_ms = seconds_to_ms(time.perf_counter() - begun)
        found = self.model.segment_pixels(pixels, self.options, crowded=turn.crowded)
        return replace(found, timings=replace(found.timings, decode=decode_ms))
