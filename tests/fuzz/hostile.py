"""Hostile inputs by name: they once cost seconds, gigabytes or a stream for good, or are of these kinds."""

import struct
import zlib
from collections.abc import Mapping
from functools import partial

import grpc

from service.rpc.generated import grpc_predict_v2_pb2 as oip
from service.rpc.generated import segmentation_pb2 as pb
from tests.fuzz.attacks import Attack, call, hold, open_streams, post, say, write
from tests.fuzz.calls import OURS, THEIRS
from tests.fuzz.requests import FORM, JSON, MODEL, SEGMENT

INFER, TENSORS = f"/v2/models/{MODEL}/infer", f"/v2/models/{MODEL}.tensors/infer"
LARGE = 19_900_000  # bytes: below the limit of a body
HEAD = b"POST /v1/segment HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
TINY_GIF = b"GIF89a" + struct.pack("<HHBBB", 7000, 7000, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\2\x4c\1\0;"
COMMENT = b"\xff\xfe\x00\x04\xff\xd9"  # a JPEG's comment, which holds the bytes of an end marker


def _repeat(start: bytes, piece: bytes, end: bytes = b"") -> bytes:
    """A body of nearly the largest size."""
    return start + piece * ((LARGE - len(start) - len(end)) // len(piece)) + end


def _nest(number: int, data: bytes) -> bytes:
    """A field of a message, whose number is below 16."""
    length, size = len(data), b""
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data


def _ask_numbers() -> bytes:
    asked = oip.ModelInferRequest(model_name=f"{MODEL}.tensors")
    tensor = asked.inputs.add(name="pixels", datatype="UINT8", shape=[1, 320, 320, 3])
    tensor.contents.uint_contents.extend([7] * 5_900_000)
    return asked.SerializeToString()


def _name_model(name: str) -> bytes:
    return pb.SegmentRequest(image=TINY_GIF, options=pb.SegmentOptions(model=name)).SerializeToString()


PART = b"\r\n--b\r\nContent-Disposition: form-data; name=x\r\n\r\n"
NUMBERS = b'{"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 320, 320, 3], "data": ['
IMAGE = b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["AAAA"], "parameters": '
PARAMETER = IMAGE + b'{"z": ['
QUERY = "&".join(f"a{number}=1" for number in range(8000))
LABELS = "&".join(f"classes=l{number}" for number in range(999))
SCANS = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00"
FRAME = b"\xff\xd8" + COMMENT + b"\xff\xc2\x00\x0b\x08\x1f\x40\x1f\x40\x01\x01\x11\x00"
CLASS_TEXT = '{"classes": ["' + "x" * 5_000_000 + '"]}'

ATTACKS: Mapping[str, Attack] = {
    "JPEG of 1,900 hidden scans": post(SEGMENT, b"image/jpeg", lambda: FRAME + SCANS * 1900 + b"\xff\xd9"),
    "GIF of 7,000 x 7,000 without data": post(SEGMENT, b"image/gif", lambda: TINY_GIF),
    "8,000 options in the query": post(f"{SEGMENT}?{QUERY}", b"", lambda: TINY_GIF),
    "999 unknown labels": post(f"{SEGMENT}?{LABELS}", b"", lambda: TINY_GIF),
    "form of 400,000 parts": post(SEGMENT, FORM, partial(_repeat, PART[2:], PART, b"\r\n--b--")),
    "form of near-boundaries": post(SEGMENT, FORM, partial(_repeat, b"", b"\r\n--")),
    "JSON of 2.4 M fields": post(SEGMENT, JSON, partial(_repeat, b'{"image": ""', b', "x": 1', b"}")),
    "JSON of escapes": post(SEGMENT, JSON, partial(_repeat, b'{"image": "', b"\\u0041", b'"}')),
    "JSON of 6.6 M letters beyond ASCII": post(
        SEGMENT, JSON, partial(_repeat, b'{"image": "', b"\xe2\x82\xac", b'"}')
    ),
    "JSON of one number": post(SEGMENT, JSON, partial(_repeat, b'{"image": ', b"1", b"}")),
    "base64 of 19.9 MB": post(SEGMENT, JSON, partial(_repeat, b'{"image": "', b"_-_-", b'"}')),
    "OIP, 500,000 inputs": post(
        INFER, JSON, partial(_repeat, b'{"inputs": [{}', b', {"name": "x", "shape": [1]}', b"]}")
    ),
    "OIP, 149,000 lists": post(TENSORS, JSON, lambda: NUMBERS + b"[], " * 149_000 + b"[]]}]}"),
    "OIP, a parameter of 140,000 lists": post(
        INFER, JSON, lambda: PARAMETER + b"[], " * 140_000 + b"[]]}}]}"
    ),
    "OIP, 490,000 long numbers": post(
        TENSORS, JSON, lambda: NUMBERS + b"1.23456789012345678901234567890123, " * 490_000 + b"1]}]}"
    ),
    "gzip of 200 MB": post(SEGMENT, b"image/png", lambda: zlib.compress(bytes(200_000_000)), "deflate"),
    "gzip of 19.9 MB of fields": post(
        SEGMENT, JSON, lambda: zlib.compress(_repeat(b'{"image": ""', b', "x": 1', b"}")), "deflate"
    ),
    "chunks of one byte": write(
        lambda: CHUNKED + b"1\r\nx\r\n" * 1_000_000 + b"0\r\n\r\n",
        "rest InvalidImage",
    ),
    "endless trailers": write(
        lambda: CHUNKED + b"1\r\nx\r\n0\r\n" + b"a: b\r\n" * 3_000_000, "rest gone", "rejected HeadersTooLong"
    ),
    "one trailer of 19.9 MB": write(
        lambda: _repeat(CHUNKED + b"1\r\nx\r\n0\r\na: ", b"b"), "rest gone", "rejected HeadersTooLong"
    ),
    "headers without end": write(lambda: HEAD + b"a: b\r\n" * 100_000, "rejected HeadersTooLong"),
    "two Host headers": write(lambda: HEAD + b"Host: y\r\n\r\n", "rejected NotHttp"),
    "a Host that is none": write(lambda: b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "rejected NotHttp"),
    "HTTP/0.9": write(lambda: b"GET / HTTP/0.9\r\n\r\n", "rejected NotHttp"),
    "TLS on the plain port": write(lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01", "rejected NotHttp"),
    "20 bodies held back": hold(
        20, HEAD + b"Content-Length: 19900000\r\n\r\n" + bytes(1_000_000), "rest gone"
    ),
    "50 heads held back": hold(50, HEAD),
    "gRPC, 1 M inputs": call(
        f"{THEIRS}ModelInfer", lambda: _nest(1, MODEL.encode()) + _nest(5, b"") * 1_000_000
    ),
    "gRPC, 6 M unknown fields": call(f"{OURS}Segment", lambda: b"\x50\x01" * 6_000_000),
    "gRPC, 5.9 M numbers": call(f"{THEIRS}ModelInfer", _ask_numbers),
    "gRPC, bytes that are no message": call(f"{OURS}Segment", lambda: b"\xff" * 1000),
    "gRPC, a model's name of 15 MB": call(f"{OURS}Segment", lambda: _name_model("x" * 15_000_000)),
    "gRPC, a model's name of 60 kB": call(f"{OURS}Segment", lambda: _name_model("x" * 60_000)),
    "gRPC, 19.9 MB of zeros, packed": call(
        f"{OURS}Segment", lambda: _nest(1, bytes(LARGE)), grpc.Compression.Gzip
    ),
    "gRPC, 200 MB of zeros, packed": call(
        f"{OURS}Segment", lambda: _nest(1, bytes(200_000_000)), grpc.Compression.Gzip
    ),
    "60 silent streams": open_streams(60, f"{OURS}SegmentStream"),
    "60 silent OIP streams": open_streams(60, f"{THEIRS}ModelStreamInfer"),
    "WebSocket options of 5 MB": say(lambda: [CLASS_TEXT], "rest InvalidOption"),
    "WebSocket, a frame of 19 MB": say(
        lambda: [bytes(19_000_000), '{"end": true}'], "rest InvalidImage", "rest ok"
    ),
}
