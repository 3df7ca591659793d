"""The formats an answer can take, and which of them a request's Accept header asks for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

import cv2
import orjson
from starlette.exceptions import HTTPException

from service.errors import InvalidOption
from service.inference.documents import answer_to_coco, answer_to_json
from service.inference.images import Limits, decode_image
from service.inference.masks.forms import draw_labelmap, forms_to_runs
from service.inference.masks.overlay import draw_overlay
from service.types import Answer, Options


@dataclass(frozen=True, slots=True)
class Source:
    """What a format may need beside the answer itself."""

    image: bytes
    limits: Limits
    image_id: int


Render: TypeAlias = Callable[[Answer, Source], bytes]

JSON = "application/json"
COCO_RESULTS = "application/x-coco-results+json"
LABEL_MAP = "image/png;type=labelmap"


def render_json(answer: Answer, source: Source) -> bytes:
    """The native answer."""
    return orjson.dumps(answer_to_json(answer))


def render_coco(answer: Answer, source: Source) -> bytes:
    """COCO results, for `COCO.loadRes`."""
    return orjson.dumps(answer_to_coco(answer, source.image_id))


def render_png(answer: Answer, source: Source) -> bytes:
    """The picture at its full size with masks, boxes and labels drawn on it."""
    return _draw(answer, source, ".png", (cv2.IMWRITE_PNG_COMPRESSION, 3))


def render_jpeg(answer: Answer, source: Source) -> bytes:
    """As `render_png`, smaller."""
    return _draw(answer, source, ".jpg", (cv2.IMWRITE_JPEG_QUALITY, 90))


def render_labelmap(answer: Answer, source: Source) -> bytes:
    """A PNG of 16 bits: n where the n-th instance is on top, counted from 1; 0 where there is none."""
    found = answer.segmentation
    masks = [instance.segmentation for instance in found.instances if instance.segmentation is not None]
    _, encoded = cv2.imencode(".png", draw_labelmap(forms_to_runs(masks, found.image)))
    return encoded.tobytes()


FORMATS: dict[str, Render] = {
    JSON: render_json,
    COCO_RESULTS: render_coco,
    "image/png": render_png,
    "image/jpeg": render_jpeg,
    LABEL_MAP: render_labelmap,
}


@lru_cache(64)  # clients say the same again and again
def choose_format(accept: str | None) -> str:
    """The media type of FORMATS that an Accept header likes best, the first of them where it does not care.

    Raises HTTPException 406 when it likes none.

    >>> choose_format("image/webp, image/jpeg;q=0.9, */*;q=0.1")
    'image/jpeg'
    """
    wishes = [_parse_wish(part) for part in (accept or "*/*").split(",")]
    liking = {media: _quality(media, wishes) for media in FORMATS}
    best = max(liking, key=lambda media: liking[media])
    if liking[best] <= 0:
        raise HTTPException(406, f"answers come as {', '.join(FORMATS)}; Accept asks for {accept}")
    return best


def fit_options(options: Options, media: str) -> Options:
    """The options with which a format can be given; raises InvalidOption where it needs masks, of none."""
    if media not in (COCO_RESULTS, LABEL_MAP):
        return options
    if options.masks == "none":
        raise InvalidOption(f"masks is none, and {media} is made of them: leave one of the two out")
    return replace(options, masks="rle")


def _draw(answer: Answer, source: Source, suffix: str, parameters: tuple[int, int]) -> bytes:
    pixels = decode_image(source.image, source.limits)
    drawn = draw_overlay(pixels, answer.segmentation)
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), parameters)
    return encoded.tobytes()


def _parse_wish(part: str) -> tuple[str, float]:
    """A media range, with the parameter by which FORMATS tells media types apart, and its quality."""
    media, *parameters = (piece.strip().lower() for piece in part.replace('"', "").split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            quality = _parse_quality(value)
        elif name == "type":
            media = f"{media};{parameter}"
    return media, quality


def _parse_quality(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return 0.0


def _quality(media: str, wishes: Iterable[tuple[str, float]]) -> float:
    """What the most specific range that fits gives to a media type."""
    by_range = dict(wishes)
    for candidate in (media, media.partition(";")[0], f"{media.partition('/')[0]}/*", "*/*"):
        if candidate in by_range:
            return by_range[candidate]
    return 0.0
