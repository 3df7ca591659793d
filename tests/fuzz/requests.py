"""REST requests that nobody should send: bodies, options, headers."""

import base64
import gzip
import json
import zlib
from dataclasses import dataclass
from urllib.parse import quote

from hypothesis import strategies as st

from tests.fuzz.pictures import images

SEGMENT = "/v1/segment"
MODEL = "blitzmask-mobilenetv2"
PLACES = (
    ("GET", "/v1/models"),
    ("GET", f"/v1/models/{MODEL}"),
    ("GET", "/readyz"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/"),
    ("POST", f"/v1/models/{MODEL}/load"),
    ("POST", f"/v1/models/{MODEL}/unload"),
    ("GET", "/v2"),
    ("GET", f"/v2/models/{MODEL}"),
    ("GET", f"/v2/models/{MODEL}/config"),
    ("GET", f"/v2/models/{MODEL}.tensors/stats"),
    ("POST", "/v2/repository/index"),
)
METHODS = ("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH")


@dataclass(frozen=True, slots=True)
class Case:
    """A request whose frame is sound: it has to be answered."""

    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    hurried: bool = False  # it sets itself a deadline

    def encode(self) -> bytes:
        length = (b"content-length", str(len(self.body)).encode())
        lines = [b"%s: %s\r\n" % header for header in ((b"host", b"fuzz"), *self.headers, length)]
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (
            self.method.encode(),
            self.path.encode(),
            b"".join(lines),
            self.body,
        )


words = st.text(max_size=20)
numbers = st.one_of(st.integers(), st.floats()).map(str)
TELLING = ("", "null", "true", "0.5", "1", "person,cat", "NaN")
values = st.one_of(words, numbers, st.sampled_from(TELLING))
OPTIONS: dict[str, st.SearchStrategy[str]] = {
    "score_threshold": st.floats(0, 1).map(str),
    "max_instances": st.integers(1, 10**9).map(str),
    "classes": st.sampled_from(["person", "person,car", " cat , dog "]),
    "masks": st.sampled_from(["rle", "rle_crop", "polygon", "contour", "none"]),
    "model": st.just(MODEL),
    "exact": st.sampled_from(["true", "false"]),
    "tiles": st.sampled_from(["auto", "1", "4", "32"]),
    "tolerance": st.floats(0, 100).map(str),
    "format": st.sampled_from(["compressed", "uncompressed"]),
    "image_id": st.integers(-(2**63), 2**63 - 1).map(str),
}
pairs = st.one_of(
    *(st.tuples(st.just(name), good) for name, good in OPTIONS.items()),
    st.tuples(st.sampled_from([*OPTIONS, "version"]), values),
    st.tuples(words, values),
)


def _to_query(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


queries = st.one_of(
    st.just(""),
    st.lists(pairs, max_size=3).map(_to_query),
    st.text("abc=&%+;/?0123456789", max_size=30),
)
token = st.text("abcdefgXYZ0189-_.!#$%&'*+^`|~", min_size=1, max_size=12)
latin = st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")
field_value = st.text(latin, max_size=30).map(lambda text: text.strip().encode("latin-1"))
accept = st.one_of(
    st.sampled_from(
        [
            b"*/*",
            b"application/json",
            b"image/png",
            b"image/jpeg;q=0.5, */*;q=0.1",
            b"image/png;type=labelmap",
            b"image/png;type=cutout",
            b"application/zip",
            b"application/x-coco-results+json",
            b"text/html",
            b";;q=;=,,",
            b"application/json;q=nan",
        ]
    ),
    field_value,
)
KNOWN = (
    b"x-request-id",
    b"traceparent",
    b"tracestate",
    b"authorization",
    b"x-api-key",
    b"accept-encoding",
    b"cookie",
    b"range",
    b"if-none-match",
)
MEDIA = (b"image/jpeg", b"image/png", b"application/octet-stream", b"image/x")
BOUNDARIES = ("; boundary=b", "; boundary=", '; boundary="b"', "", "; boundary=" + "x" * 300)
FRAMING = {b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect", b"host"}
HEADS = (
    b"\r\n",
    b"\0",
    b"HTTP/9.9",
    b"transfer-encoding: chunked\r\n",
    b"content-length: 5\r\n",
    b"connection: upgrade\r\nupgrade: websocket\r\n",
    b"expect: 100-continue\r\n",
)
named = st.tuples(token.map(str.encode), field_value).filter(lambda header: header[0].lower() not in FRAMING)
extra = st.one_of(
    st.tuples(st.just(b"accept"), accept),
    st.tuples(st.sampled_from(KNOWN), field_value),
    named,
)
headers = st.lists(extra, max_size=3).map(tuple)

FORM, JSON = b"multipart/form-data; boundary=b", b"application/json"
PART = b"\r\n--b\r\nContent-Disposition: form-data; name=image; filename=x\r\n\r\n"
PACKED = (
    (SEGMENT, FORM, b"--b", PART, b"\r\n--b--"),
    (SEGMENT, FORM, b"--b\r\n", b"a: b\r\n", b"\r\n\r\n--b--"),
    (SEGMENT, FORM, PART[2:], b"\r\n--", b"\r\n--b--"),
    (SEGMENT, JSON, b'{"image": "', b"AAAA", b'"}'),
    (SEGMENT, JSON, b'{"image": ""', b', "x": 1', b"}"),
    (SEGMENT, JSON, b"", b"[", b""),
    (SEGMENT, b"image/jpeg", b"\xff\xd8\xff", b"\xe0\x00\x02\xff", b""),
    (f"/v2/models/{MODEL}/infer", JSON, b'{"inputs": [{}', b", {}", b"]}"),
    (f"/v2/models/{MODEL}/infer", JSON, b'{"inputs": [], "outputs": [1', b", 1", b"]}"),
    (f"/v2/models/{MODEL}.tensors/infer", JSON, b'{"inputs": [{"shape": [1', b", null", b"]}]}"),
    (f"/v2/models/{MODEL}.tensors/infer", JSON, b'{"inputs": [{"data": [1', b", [1]", b"]}]}"),
    ("/v2/repository/index", JSON, b'{"ready": true', b', "ready": 1', b"}"),
)

json_values: st.SearchStrategy[object] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=8,
)


@st.composite
def wrapped(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An image in one of the ways in which it may come, or nearly; its content type."""
    image = draw(images)
    match draw(st.sampled_from(["raw", "raw", "form", "json", "noise"])):
        case "raw":
            return draw(st.sampled_from(MEDIA)), image
        case "form":
            return _wrap_form(draw, image)
        case "json":
            text = draw(st.one_of(st.just(base64.b64encode(image).decode()), words))
            others = st.dictionaries(words, json_values, max_size=2)
            document = draw(st.one_of(st.just({"image": text}), others, json_values))
            return b"application/json", json.dumps(document).encode()
        case _:
            return draw(field_value), draw(st.binary(max_size=200))


def _wrap_form(draw: st.DrawFn, image: bytes) -> tuple[bytes, bytes]:
    name = draw(st.sampled_from(["image", "image", "picture", ""]))
    file = draw(st.sampled_from(['; filename="a.jpg"', "; filename=", ""]))
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
    body = head + image + draw(st.sampled_from([b"\r\n--b--\r\n", b"\r\n--b--", b"\r\n--b\r\n", b""]))
    return f"multipart/form-data{draw(st.sampled_from(BOUNDARIES))}".encode(), body


@st.composite
def protocol(draw: st.DrawFn) -> Case:
    """A request of the Open Inference Protocol."""
    name = draw(st.sampled_from([MODEL, f"{MODEL}.tensors", "none", "%2e%2e"]))
    data = draw(images)
    tensor: dict[str, object] = {
        "name": draw(st.sampled_from(["image", "pixels", "x"])),
        "datatype": draw(st.sampled_from(["BYTES", "UINT8", "FP32"])),
        "shape": draw(st.one_of(st.just([1]), st.lists(st.integers(-3, 10**10), max_size=4), json_values)),
    }
    if draw(st.booleans()):
        tensor["data"] = draw(st.one_of(st.just([base64.b64encode(data).decode()]), json_values))
    else:
        size = draw(st.one_of(st.just(len(data) + 4), st.integers(-5, 10**6), json_values))
        tensor["parameters"] = {"binary_data_size": size}
    parts = st.sampled_from(["id", "parameters", "outputs", "x"])
    document = {"inputs": [tensor], **draw(st.dictionaries(parts, json_values, max_size=2))}
    text = json.dumps(document).encode()
    length = draw(st.one_of(st.just(str(len(text)).encode()), numbers.map(str.encode), field_value))
    body = text + len(data).to_bytes(4, "little") + data
    return Case("POST", f"/v2/models/{name}/infer", ((b"inference-header-content-length", length),), body)


@st.composite
def segment(draw: st.DrawFn) -> Case:
    media, body = draw(wrapped())
    sent = (*draw(headers), (b"content-type", media))
    hurry = draw(st.one_of(st.none(), st.none(), st.none(), numbers.map(str.encode), field_value))
    if hurry is not None:
        sent = (*sent, (b"x-request-timeout", hurry))
    query = draw(queries)
    return Case("POST", SEGMENT + (f"?{query}" if query else ""), sent, body, hurry is not None)


@st.composite
def elsewhere(draw: st.DrawFn) -> Case:
    method, path = draw(st.sampled_from(PLACES))
    if draw(st.booleans()):
        path = "/" + quote(draw(words), safe="/%")
    if draw(st.booleans()):
        method = draw(st.sampled_from(METHODS))
    query = draw(queries)
    return Case(method, path + (f"?{query}" if query else ""), draw(headers), draw(st.binary(max_size=60)))


@st.composite
def packed(draw: st.DrawFn) -> Case:
    """A body of one piece many times over: parsing it is dear, reading it is not."""
    path, media, start, piece, end = draw(st.sampled_from(PACKED))
    body = start + piece * draw(st.integers(0, 900_000 // len(piece))) + end
    if draw(st.booleans()):
        coding = draw(st.sampled_from([b"gzip", b"deflate", b"br"]))
        body = gzip.compress(body) if draw(st.booleans()) else zlib.compress(body)
        return Case("POST", path, ((b"content-type", media), (b"content-encoding", coding)), body)
    return Case("POST", path, ((b"content-type", media),), body)


cases = st.one_of(segment(), segment(), segment(), protocol(), elsewhere(), packed())


@st.composite
def noise(draw: st.DrawFn) -> bytes:
    """Bytes that are nearly HTTP: a sound request with some of its head changed, or anything."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(min_size=1, max_size=300))
    data = bytearray(draw(cases).encode()[:3000])
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, min(len(data), 200)))
        spoilt = draw(st.one_of(st.binary(max_size=6), st.sampled_from(HEADS)))
        data[place : place + draw(st.integers(0, 6))] = spoilt
    return bytes(data)
