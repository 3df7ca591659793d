"""The first contact: is the server there, does it take the photos, and which model answers?"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from google.protobuf.json_format import MessageToJson
from pydantic import BaseModel

from loadtest.clients import OK, Answer, Photo, open_client
from loadtest.clients.oip import Reply, read_document, read_message
from loadtest.errors import CannotRun
from loadtest.targets import Form, Target
from service.rpc.generated import segmentation_pb2 as messages

_PHOTOS = 16  # of a mix that are tried before the run


@dataclass(frozen=True, slots=True)
class Served:
    """What answers, in the server's own words; None where it does not say."""

    model: str | None = None
    version: str | None = None
    runtime: str | None = None
    precision: str | None = None
    asked: tuple[str, ...] = ()
    in_effect: tuple[str, ...] = ()


class _Backend(BaseModel):
    runtime: str | None = None
    precision: str | None = None
    asked: tuple[str, ...] = ()
    in_effect: tuple[str, ...] = ()


class _Segmentation(BaseModel):
    image: dict[str, int]
    instances: list[dict[str, object]] = []
    model: str | None = None
    version: str | None = None
    backend: _Backend = _Backend()


async def probe(target: Target, photos: Sequence[Photo]) -> Served:
    """What answers the first photos; raises CannotRun when anything but a segmentation does."""
    client = open_client(target)
    try:
        answers = [(photo, await client.send(photo)) for photo in photos[:_PHOTOS]]
    finally:
        await client.close()
    for photo, answer in answers:
        if answer.kind != OK:
            raise CannotRun(_explain(target, photo, answer))
    return read_served(target, answers[0][1])


def read_served(target: Target, answer: Answer) -> Served:
    """Model and backend out of a good answer; raises CannotRun when it is no segmentation."""
    try:
        return _READERS[target.form](answer.body)
    except ValueError as error:  # pydantic's is one too
        raise CannotRun(f"{target} answers, but not with a segmentation: is it the right server?") from error


def _read_json(body: bytes) -> Served:
    found = _Segmentation.model_validate_json(body)
    return Served(model=found.model, version=found.version, **dict(found.backend))


def _read_message(body: bytes) -> Served:
    message = messages.SegmentResponse.FromString(body)
    return _read_json(MessageToJson(message, preserving_proto_field_name=True).encode())


def _read_reply(reply: Reply) -> Served:
    """The protocol does not say what computes."""
    if "boxes" not in reply.tensors:
        raise ValueError(f"it has no boxes, only {', '.join(reply.tensors)}")
    return Served(model=reply.model, version=reply.version)


_READERS: Mapping[Form, Callable[[bytes], Served]] = MappingProxyType(
    {
        ("native", "rest"): _read_json,
        ("native", "grpc"): _read_message,
        ("oip", "rest"): lambda body: _read_reply(read_document(body)),
        ("oip", "grpc"): lambda body: _read_reply(read_message(body)),
    }
)


def _explain(target: Target, photo: Photo, answer: Answer) -> str:
    reason = answer.body.decode(errors="replace").strip()
    if answer.kind in ("connection refused", "UNAVAILABLE", "gaierror"):
        return f"cannot reach {target}: {reason}; is the server running?"
    return f"{target} does not segment {photo.name}: {answer.kind}: {_first_words(reason)}"


def _first_words(reason: str) -> str:
    """problem+json says it in `detail`."""
    try:
        fields = json.loads(reason)
    except ValueError:
        return " ".join(reason.split())[:200]
    return str(fields.get("detail") or fields.get("title") or reason) if isinstance(fields, dict) else reason
