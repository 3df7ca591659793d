"""The server's own description: the model that answers, the models it lists, and its Prometheus counters."""

import asyncio
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import grpc.aio
from google.protobuf.json_format import MessageToJson
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

from loadtest.generators import open_client, rpc
from loadtest.generators.oip import Reply, read_document, read_message
from loadtest.generators.rest import read_problem
from loadtest.types import OK, Answer, CannotRun, Form, Photo, Target
from service.client.credentials import NOTHING, Credentials
from service.rpc.generated import segmentation_pb2 as messages

_PHOTOS = 16  # of a mix that are sent before the run
_PATIENCE_S = 30.0  # a server that has just started may still import what answers
_COUNTED = ("_total", "_sum", "_count")
_OF_PYTHON = ("python_", "process_")


@dataclass(frozen=True, slots=True)
class Served:
    """Model and backend in the server's own words; None when it does not say."""

    model: str | None = None
    version: str | None = None
    runtime: str | None = None
    precision: str | None = None
    asked: tuple[str, ...] = ()
    in_effect: tuple[str, ...] = ()


class _Model(BaseModel):
    name: str


class _Models(BaseModel):
    models: list[_Model]


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


async def probe(target: Target, photos: Sequence[Photo]) -> tuple[Served, tuple[bytes, ...]]:
    """The server's description, and its answers to the first photos.

    Raises CannotRun when the server cannot be reached or does not segment one of them.
    """
    client = open_client(target)
    try:
        answers = [(photo, await client.send(photo)) for photo in photos[:_PHOTOS]]
    finally:
        await client.close()
    for photo, answer in answers:
        if answer.kind != OK:
            raise CannotRun(_explain(target, photo, answer))
    return read_served(target, answers[0][1]), tuple(answer.body for _, answer in answers)


def read_served(target: Target, answer: Answer) -> Served:
    """Model and backend in a good answer; raises CannotRun when it is no segmentation."""
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
    """The model; the protocol does not name a backend."""
    if "boxes" not in reply.tensors:
        raise ValueError(f"the reply has no boxes, only {', '.join(reply.tensors)}")
    return Served(model=reply.model, version=reply.version)


_READERS: Mapping[Form, Callable[[bytes], Served]] = MappingProxyType(
    {
        ("native", "rest"): _read_json,
        ("native", "grpc"): _read_message,
        ("oip", "rest"): lambda body: _read_reply(read_document(body)),
        ("oip", "grpc"): lambda body: _read_reply(read_message(body)),
    }
)


async def list_models(target: Target) -> tuple[str, ...]:
    """The names of all models, the default one first; raises CannotRun when the server lists none."""
    try:
        names = await (_list_rest(target) if target.transport == "rest" else rpc.list_models(target))
    except (OSError, ValueError, grpc.aio.AioRpcError) as error:
        raise CannotRun(f"{target} does not list its models: give --model") from error
    return tuple(dict.fromkeys(names))  # versions of one model share its name


async def scrape(url: str, credentials: Credentials = NOTHING) -> dict[str, float]:
    """Every Prometheus counter by its name and labels; empty when there is no such page."""
    try:
        return read_counters((await _fetch(url, credentials)).decode())
    except (OSError, ValueError):
        return {}


def read_counters(page: str) -> dict[str, float]:
    """Counters, and the sums and counts of histograms.

    >>> read_counters('# TYPE a counter\\na_total{b="c"} 3\\n# TYPE d gauge\\nd 4\\n')
    {'a_total{b="c"}': 3.0}
    """
    return {
        _name(sample.name, sample.labels): float(sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.endswith(_COUNTED) and not sample.name.startswith(_OF_PYTHON)
    }


def subtract(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """The growth of each counter that grew.

    >>> subtract({"a": 1, "b": 2}, {"a": 1, "b": 5, "c": 1})
    {'b': 3, 'c': 1}
    """
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: growth for name, growth in grown.items() if growth}


async def _list_rest(target: Target) -> list[str]:
    page = await _fetch(f"{target.scheme}://{target.authority}/v1/models", target.credentials)
    return [model.name for model in _Models.model_validate_json(page).models]


async def _fetch(url: str, credentials: Credentials) -> bytes:
    """A page; raises OSError when there is none, and ValueError when the address is wrong."""

    def read() -> bytes:
        context = credentials.open_context() if url.startswith("https:") else None
        request = urllib.request.Request(url, headers=credentials.headers())
        with urllib.request.urlopen(request, timeout=_PATIENCE_S, context=context) as page:
            return bytes(page.read())

    return await asyncio.to_thread(read)


def _name(name: str, labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name


def _explain(target: Target, photo: Photo, answer: Answer) -> str:
    reason = answer.body.decode(errors="replace").strip()
    if answer.kind in ("connection refused", "UNAVAILABLE", "gaierror"):
        return f"cannot reach {target}: {reason}; is the server running?"
    return f"{target} does not segment {photo.name}: {answer.kind}: {read_problem(reason)}"
