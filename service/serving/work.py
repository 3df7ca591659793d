"""The works of the engine: one image of a request, one picture of a stream.

They run where the models are, in a compute process or a thread, and hold nothing that cannot travel there.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from service.compute.task import Turn
from service.errors import BlitzError
from service.frames import Rendered
from service.inference.model import Model
from service.serving.streaming.frame import Picture, raw_to_pixels
from service.types import Answer, Options, Segmentation, Summary, seconds_to_ms

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SegmentWork(Generic[T]):
    """Gives the summary of the answer for an encoded image, and what `render` makes of the answer.

    unpack: takes the image out of the body of a request; None: the body is the image.
    `render` and `unpack` are functions of a module, or partials of one, so that they can travel.
    Raises InvalidImage, ImageTooLarge, InvalidOption, UnsupportedMedia.
    """

    model: Model
    image: bytes
    options: Options
    render: Callable[[Answer], T]
    unpack: Callable[[bytes], bytes] | None = None

    def __call__(self, turn: Turn) -> tuple[Summary, T]:
        image = self.image if self.unpack is None else self.unpack(self.image)
        found = self.model.segment(image, self.options, crowded=turn.crowded)
        return render_answer(found, turn.waited_s, self.render)


def render_answer(found: Segmentation, waited_s: float, render: Callable[[Answer], T]) -> tuple[Summary, T]:
    """The summary of an answer that waited so many seconds, and what `render` makes of it."""
    answer = Answer(found, seconds_to_ms(waited_s))
    begun = time.perf_counter()
    rendered = render(answer)
    render_ms = seconds_to_ms(time.perf_counter() - begun)
    return replace(answer, render_ms=render_ms).summary(), rendered


@dataclass(frozen=True, slots=True)
class FrameWork:
    """Gives the answer for a picture of a stream, encoded or raw: rendered, or as it is without `render`.

    `render` is a function of a module. arrived: seconds of the monotonic clock.
    Raises InvalidImage, ImageTooLarge, InvalidOption, and the error that stands in the picture's place.
    """

    model: Model
    picture: Picture
    options: Options
    arrived: float
    render: Callable[[Answer], bytes] | None = None

    @property
    def image(self) -> bytes:
        """The bytes of the picture."""
        if isinstance(self.picture, BlitzError):
            return b""
        return self.picture if isinstance(self.picture, bytes) else self.picture.data

    def __call__(self, turn: Turn) -> Segmentation | Rendered:
        queue_ms = seconds_to_ms(time.monotonic() - self.arrived)
        found = self._segment(turn)
        if self.render is None:
            return found
        answer = Answer(found, queue_ms)
        return Rendered(answer.summary(), self.render(answer))

    def _segment(self, turn: Turn) -> Segmentation:
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
