"""The formats of an answer, and the choice among them by a request's Accept header.

Every renderer is a module-level function or a partial of one: the engine may send it to another process.
"""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Literal, TypeAlias

import cv2
import orjson
from starlette.exceptions import HTTPException

from service.errors import InvalidOption, shorten
from service.inference.documents import Json, answer_to_coco, answer_to_json, form_to_json, instance_to_json
from service.inference.images import Limits, decode_image
from service.inference.masks.cutouts import cut_out, encode_rgba, remove_background
from service.inference.masks.forms import draw_labelmap, forms_to_runs
from service.inference.masks.overlay import draw_overlay
from service.inference.masks.rle import decode_counts
from service.rest.upload import unpack_image
from service.types import Answer, Instance, Options, Pixels, Rle, RleCrop

SAFE = re.compile(r"[^\w.-]+", re.ASCII)  # the characters that a file name does without

Render: TypeAlias = Callable[[Answer], bytes]

JSON = "application/json"
COCO_RESULTS = "application/x-coco-results+json"
PNG, JPEG = "image/png", "image/jpeg"
LABEL_MAP, CUTOUT = "image/png;type=labelmap", "image/png;type=cutout"
ZIP = "application/zip"
FORMATS = (JSON, COCO_RESULTS, PNG, JPEG, LABEL_MAP, CUTOUT, ZIP)  # the first is the default
MASKED = (COCO_RESULTS, LABEL_MAP, CUTOUT, ZIP)  # those that are made of masks

Counts: TypeAlias = Literal["compressed", "uncompressed"]


@dataclass(frozen=True, slots=True)
class Picture:
    """The body of a request with its image, for the formats that draw on it."""

    body: bytes
    content_type: str
    limits: Limits

    def decode(self) -> Pixels:
        """The pixels at full size, uint8 [H, W, 3] RGB; raises InvalidImage, ImageTooLarge."""
        return decode_image(unpack_image(self.body, self.content_type), self.limits)


def choose_renderer(media: str, picture: Picture, image_id: int, counts: Counts = "compressed") -> Render:
    """The function that writes an answer in one of FORMATS; `counts` is the form of run lengths in JSON."""
    match media:
        case "application/json" if counts == "uncompressed":
            return render_uncompressed
        case "application/zip":
            return partial(render_cutouts, picture=picture)
        case "image/png;type=cutout":
            return partial(render_foreground, picture=picture)
        case "image/png":
            return partial(render_drawing, picture=picture, suffix=".png")
        case "image/jpeg":
            return partial(render_drawing, picture=picture, suffix=".jpg")
        case "application/x-coco-results+json":
            return partial(render_coco, image_id=image_id)
        case "image/png;type=labelmap":
            return render_labelmap
        case _:
            return render_json


def render_json(answer: Answer) -> bytes:
    """The native answer."""
    return orjson.dumps(answer_to_json(answer))


def render_uncompressed(answer: Answer) -> bytes:
    """The native answer with run lengths as lists of numbers, which JavaScript reads without a decoder."""
    written = [_uncompress(instance) for instance in answer.segmentation.instances]
    return orjson.dumps({**answer_to_json(answer), "instances": written})


def _uncompress(instance: Instance) -> Json:
    """The JSON of an instance; the counts of its mask are a list."""
    content = instance_to_json(instance)
    match instance.segmentation:
        case Rle(_, text) | RleCrop(Rle(_, text)):
            form = form_to_json(instance.segmentation)
            content["segmentation"] = {**form, "counts": decode_counts(text).tolist()}
    return content


def render_cutouts(answer: Answer, picture: Picture) -> bytes:
    """A ZIP of a transparent PNG for each instance, best first, and the native answer as answer.json.

    The entries have no date of today, so that equal answers give equal files.
    """
    archive = io.BytesIO()
    found = answer.segmentation
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as content:  # PNGs are compressed already
        for number, cutout in enumerate(cut_out(picture.decode(), found), 1):
            name = SAFE.sub("_", found.instances[number - 1].label)
            content.writestr(zipfile.ZipInfo(f"{number:03}-{name}.png"), encode_rgba(cutout))
        content.writestr(zipfile.ZipInfo("answer.json"), render_json(answer), zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def render_foreground(answer: Answer, picture: Picture) -> bytes:
    """A PNG of the whole picture, transparent where there is no instance."""
    return encode_rgba(remove_background(picture.decode(), answer.segmentation))


def render_coco(answer: Answer, image_id: int) -> bytes:
    """COCO results, for `COCO.loadRes`."""
    return orjson.dumps(answer_to_coco(answer, image_id))


def render_drawing(answer: Answer, picture: Picture, suffix: str) -> bytes:
    """The image at its full size with masks, boxes and labels drawn on it, as .png or .jpg."""
    drawn = draw_overlay(picture.decode(), answer.segmentation)
    quality = (cv2.IMWRITE_PNG_COMPRESSION, 3) if suffix == ".png" else (cv2.IMWRITE_JPEG_QUALITY, 90)
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), quality)
    return encoded.tobytes()


def render_labelmap(answer: Answer) -> bytes:
    """A PNG of 16 bits: n where the n-th instance is on top, counted from 1; 0 where there is none."""
    found = answer.segmentation
    masks = [instance.segmentation for instance in found.instances if instance.segmentation is not None]
    _, encoded = cv2.imencode(".png", draw_labelmap(forms_to_runs(masks, found.image)))
    return encoded.tobytes()


@lru_cache(64)  # clients repeat their headers
def choose_format(accept: str | None) -> str:
    """The media type of FORMATS that an Accept header prefers; the first of them without a preference.

    Raises HTTPException 406 where it accepts none.

    >>> choose_format("image/webp, image/jpeg;q=0.9, */*;q=0.1")
    'image/jpeg'
    """
    wishes = dict(_parse_wish(part) for part in (accept or "*/*").split(",")[:100])
    qualities = {media: _quality(media, wishes) for media in FORMATS}
    best = max(qualities, key=lambda media: qualities[media])
    if qualities[best] <= 0:
        raise HTTPException(
            406, f"answers come as {', '.join(FORMATS)}; Accept asks for {shorten(accept or '')}"
        )
    return best


def fit_options(options: Options, media: str) -> Options:
    """The options that a format needs; raises InvalidOption where it needs masks and none are asked for."""
    if media not in MASKED:
        return options
    if options.masks == "none":
        raise InvalidOption(f"masks is none, and {media} is made of them: leave one of the two out")
    return replace(options, masks="rle")


def check_counts(counts: Counts, options: Options, media: str) -> Counts:
    """The form of run lengths; raises InvalidOption where an answer would have no list of them."""
    if counts == "uncompressed" and (media != JSON or options.masks not in ("rle", "rle_crop")):
        raise InvalidOption(
            f"format=uncompressed is for {JSON} with masks=rle or rle_crop, not for {media} with "
            f"masks={options.masks}"
        )
    return counts


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


def _quality(media: str, wishes: dict[str, float]) -> float:
    """The quality that the most specific range gives to a media type."""
    for candidate in (media, media.partition(";")[0], f"{media.partition('/')[0]}/*", "*/*"):
        if candidate in wishes:
            return wishes[candidate]
    return 0.0
