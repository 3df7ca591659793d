"""The image in a request's body: raw, as a multipart field, or as base64 in JSON."""

import binascii
from collections.abc import Callable
from typing import TypeAlias

import orjson
from starlette.requests import Request

from service.errors import InvalidImage, InvalidOption, UnsupportedMedia
from service.rest.body import Body
from service.rest.forms import parse_form

Unpack: TypeAlias = Callable[[bytes, str], bytes]

FIELD = "image"
NO_WHITESPACE = str.maketrans("", "", " \t\r\n")
ADVICE = (
    "send the image as the body with Content-Type image/jpeg (or another image/*, "
    'or application/octet-stream), as the multipart/form-data field "image", or as JSON {"image": "<base64>"}'
)


class Upload:
    """One request's image, refused as early as can be: by its type, by its length, while it arrives."""

    def __init__(self, request: Request, *, max_bytes: int) -> None:
        self._content_type = request.headers.get("content-type", "")
        self._unpack = _choose_unpacker(self._content_type)
        self._body = Body(request, max_bytes=max_bytes)

    async def read(self, deadline: float) -> bytes:
        """The encoded image; raises ImageTooLarge, InvalidImage, InvalidOption, DeadlineExceeded."""
        body = await self._body.read(deadline)
        if not body:
            raise InvalidImage(f"the body is empty; {ADVICE}")
        image = self._unpack(body, self._content_type)
        if not image:
            raise InvalidImage("the image is empty: 0 bytes")
        return image


def _choose_unpacker(content_type: str) -> Unpack:
    media = content_type.partition(";")[0].strip().lower()
    if media in ("", "application/octet-stream") or media.startswith("image/"):
        return _unpack_raw
    if media == "multipart/form-data":
        return _unpack_multipart
    if media == "application/json":
        return _unpack_json
    raise UnsupportedMedia(f"Content-Type {media} does not carry an image; {ADVICE}")


def _unpack_raw(body: bytes, content_type: str) -> bytes:
    return body


def _unpack_json(body: bytes, content_type: str) -> bytes:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidImage(f"the body is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get(FIELD), str):
        raise InvalidImage('the JSON body is not {"image": "<base64>"}')
    if unknown := sorted(content.keys() - {FIELD}):
        raise InvalidOption(f"unknown JSON fields {', '.join(unknown)}: options go into the query")
    try:
        return binascii.a2b_base64(content[FIELD].translate(NO_WHITESPACE), strict_mode=True)
    except ValueError as error:
        raise InvalidImage(f"image is not base64: {str(error).lower()}") from error


def _unpack_multipart(body: bytes, content_type: str) -> bytes:
    parts = parse_form(body, content_type)
    if unknown := sorted({part.name for part in parts} - {FIELD}):
        raise InvalidOption(f"unknown form fields {', '.join(unknown)}: options go into the query")
    if len(parts) != 1:
        raise InvalidImage(f'the multipart body has {len(parts)} fields "image", not one')
    if not parts[0].is_file:
        raise InvalidImage('the field "image" of the multipart body is not a file: it has no file name')
    return bytes(parts[0].content)
