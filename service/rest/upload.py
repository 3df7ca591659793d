"""The image in a request's body: raw, as the file of a multipart form, or as base64 in JSON.

Every parser first counts how many pieces it would make, in one fast scan, and refuses too many: the work
grows with the bytes of the body, not with what a client packs into them.
"""

import binascii
import re
from dataclasses import dataclass

import orjson
from python_multipart.multipart import parse_options_header

from service.errors import InvalidImage, InvalidOption, UnsupportedMedia, shorten
from service.inference.image_headers import has_signature

FIELD = "image"
FORM, JSON = "multipart/form-data", "application/json"
RAW = ("", "application/octet-stream")
MOST_PIECES = 100  # parts of a form, or fields of JSON
MOST_STRINGS = 1000  # of any JSON
MOST_LISTS = 150_000  # of any JSON: one image of 320 x 320 pixels that are lists of their own
MOST_URL = 4096  # bytes of a body that names a picture by its URL
MOST_HEAD = 4096  # bytes of a part's headers
BASE64_CHUNK = 1 << 20  # characters decoded at once; the interpreter's lock is free between two chunks
DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
WHITESPACE = b" \t\r\n"
BOM = b"\xef\xbb\xbf"  # of UTF-8; some editors begin a text with it
URL_SAFE = bytes.maketrans(b"-_", b"+/")
ADVICE = (
    "send the image as the body (curl --data-binary @FILE) with Content-Type image/jpeg (or another image/*, "
    "or application/octet-stream), as the only file of multipart/form-data, "
    'or as JSON {"image": "<base64>"}'
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form; `is_file` where it has a file name."""

    name: str
    is_file: bool
    content: bytes


def unpack_image(body: bytes, content_type: str) -> bytes:
    """The encoded image of a body; raises InvalidImage, InvalidOption, UnsupportedMedia.

    A body that begins as an image does is taken whatever its Content-Type says: curl sends
    application/x-www-form-urlencoded unless it is told otherwise.
    """
    if not body:
        raise InvalidImage(f"the body is empty; {ADVICE}")
    image = body if has_signature(body) else _unpack(body, content_type)
    if not image:
        raise InvalidImage("the image is empty: 0 bytes")
    return image


def _unpack(body: bytes, content_type: str) -> bytes:
    media = content_type.partition(";")[0].strip().lower()
    if media == FORM:
        return _choose_file(parse_form(body, content_type))
    if media == JSON or body[:100].removeprefix(BOM).lstrip(WHITESPACE).startswith(b"{"):
        return _unpack_json(body.removeprefix(BOM))
    if media in RAW or media.startswith("image/"):
        return body
    raise UnsupportedMedia(f"Content-Type {shorten(media, 80)} does not carry an image; {ADVICE}")


def _unpack_json(body: bytes) -> bytes:
    check_json(body, MOST_PIECES)
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidImage(f"the body is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get(FIELD), str):
        raise InvalidImage('the JSON body is not {"image": "<base64>"}')
    if unknown := sorted(content.keys() - {FIELD}):
        raise InvalidOption(f"unknown JSON fields {_list_names(unknown)}: options go into the query")
    try:
        return decode_base64(content[FIELD])
    except ValueError as error:
        raise InvalidImage(f"image is not base64: {error}") from error


def read_url(body: bytes) -> str | None:
    """The URL of a body {"url": "..."}; None for any other body.

    >>> read_url(b'{"url": "https://host/cat.jpg"}')
    'https://host/cat.jpg'
    """
    if len(body) > MOST_URL or body[:1] != b"{" or b'"url"' not in body:
        return None
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    alone = isinstance(content, dict) and content.keys() == {"url"} and isinstance(content["url"], str)
    return content["url"] if alone else None


def check_json(body: bytes, elements: int, *, strings: int = MOST_STRINGS) -> None:
    """Raises InvalidOption for a JSON text of too many elements, lists or strings, without parsing it.

    An object of 1.5 million fields takes more than a second to parse; this scan takes milliseconds.
    """
    lists = body.count(b"[") + body.count(b"{")
    found = {
        "elements": (lists + body.count(b","), elements),
        "lists and objects": (lists, MOST_LISTS),
        "names and texts": (body.count(b'"') // 2, strings),
    }
    for kind, (count, most) in found.items():
        if count > most:
            raise InvalidOption(f"the JSON has about {count} {kind}; at most {most} are read here")


def decode_base64(text: str) -> bytes:
    """The bytes of base64, standard or URL-safe, padded or not, with a data URI's prefix or without.

    Raises ValueError.

    >>> decode_base64("data:image/png;base64,_-8")
    b'\\xff\\xef'
    """
    prefix = DATA_URI.match(text)
    data = (text[prefix.end() :] if prefix else text).encode()
    if any(code in data for code in WHITESPACE):
        data = data.translate(None, WHITESPACE)
    if b"-" in data or b"_" in data:
        data = data.translate(URL_SAFE)
    data = data.removesuffix(b"=").removesuffix(b"=")
    if b"=" in data:
        raise ValueError("characters follow the padding")
    data += b"=" * (-len(data) % 4)
    chunks = (data[at : at + BASE64_CHUNK] for at in range(0, len(data), BASE64_CHUNK))
    try:
        return b"".join(binascii.a2b_base64(chunk, strict_mode=True) for chunk in chunks)
    except binascii.Error as error:
        raise ValueError(str(error).lower()) from error


def parse_form(body: bytes, content_type: str) -> list[Part]:
    """The parts of a form; raises InvalidImage where it is malformed, does not end, or has too many.

    python-multipart calls back for each header and piece of content: 200,000 parts took 1.9 s.

    >>> head = b'--b\\r\\nContent-Disposition: form-data; name="image"; filename="x"\\r\\n\\r\\n'
    >>> parse_form(head + b"PNG\\r\\n--b--", "multipart/form-data; boundary=b")
    [Part(name='image', is_file=True, content=b'PNG')]
    """
    boundary = parse_options_header(content_type[:1000])[1].get(b"boundary")
    if not boundary:
        raise InvalidImage("the multipart body has no boundary in its Content-Type")
    delimiter = b"\r\n--" + boundary
    if body.count(delimiter) > MOST_PIECES:
        raise InvalidImage(f"the multipart body has more than {MOST_PIECES} parts; send the image only")
    if not body.startswith(delimiter[2:]) and delimiter not in body:
        raise InvalidImage("the multipart body cannot be read: it is malformed")
    _, *sections = (b"\r\n" + body).split(delimiter)
    ends = [place for place, section in enumerate(sections) if section.startswith(b"--")]
    if not ends:
        raise InvalidImage("the multipart body cannot be read: it is cut off before its last boundary")
    return [_read_part(section) for section in sections[: ends[0]]]


def _read_part(section: bytes) -> Part:
    """A part, from the end of its boundary on."""
    end = section.find(b"\r\n\r\n", 0, MOST_HEAD)
    if end < 0:
        raise InvalidImage("the multipart body cannot be read: it is malformed")
    for line in section[:end].split(b"\r\n")[:MOST_PIECES]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            parameters = parse_options_header(value.strip())[1]
            field = parameters.get(b"name", b"").decode(errors="replace")
            is_file = not parameters.keys().isdisjoint((b"filename", b"filename*"))
            return Part(field, is_file, section[end + 4 :])
    return Part("", False, section[end + 4 :])


def _choose_file(parts: list[Part]) -> bytes:
    """The content of a form's only file, or of its field `image`, or of its only field that is an image.

    Browsers send an empty file for each field in which nobody has chosen one.
    """
    images = [part for part in parts if part.is_file or part.name == FIELD or has_signature(part.content)]
    if unknown := sorted({part.name for part in parts if part not in images}):
        raise InvalidOption(f"unknown form fields {_list_names(unknown)}: options go into the query")
    images = [part for part in images if part.content] or images
    if len(images) != 1:
        raise InvalidImage(f"the multipart body has {len(images)} files, and one is expected: the image")
    return images[0].content


def _list_names(names: list[str]) -> str:
    return shorten(", ".join(shorten(name, 40) for name in names[:10]))
