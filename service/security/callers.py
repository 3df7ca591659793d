"""API keys, of which the service knows only the hashes; their callers, rates, and the limits of streams.

An entry of BLITZ_API_KEYS and BLITZ_ADMIN_KEYS is `name:hash`, `name:hash:rate` or only `hash`. The hash is
SHA-256 in hexadecimals, the rate is requests a second. `blitzmask key` makes a key and its entry.
"""

import base64
import binascii
import hashlib
import hmac
import math
import mmap
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from service.errors import Forbidden, RateLimited, Unauthorized

HEADER = "x-api-key"
SCHEME = "bearer "
SUBPROTOCOL = "blitzmask.key."  # before a key in base64url: a page can set no other header of a WebSocket
PREFIX = "bm_"  # shows people and secret scanners which product a key belongs to
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
DIGEST = re.compile(r"[0-9a-f]{64}")
HIGHEST_RATE = 1_000_000.0
ADVICE = "expected name:hash, or name:hash:rate with requests a second; `blitzmask key` makes one"


@dataclass(frozen=True, slots=True)
class Key:
    """`digest` is the key's SHA-256 in lower-case hexadecimals; `rate` requests a second, 0 without limit."""

    name: str
    digest: str
    rate: float = 0.0

    def __str__(self) -> str:
        return f"{self.name}:{self.digest}" + (f":{self.rate:g}" if self.rate else "")


def parse_key(text: str) -> Key:
    """An entry of the settings as a key.

    Raises ValueError, which does not repeat the entry: it may hold a key in plain text by mistake.

    >>> parse_key("2C70E12B7A0646F92279F427C7B38E7334D8E5389CFF167A1DC30E73F826B683").name
    '2c70e12b'
    """
    parts = [part.strip() for part in text.split(":")]
    if parts and DIGEST.fullmatch(parts[0].lower()):  # without a name
        parts = [parts[0][:8].lower(), *parts]
    if len(parts) not in (2, 3) or not NAME.fullmatch(parts[0]) or not DIGEST.fullmatch(parts[1].lower()):
        raise ValueError(ADVICE)
    return Key(parts[0], parts[1].lower(), _parse_rate(parts[2]) if len(parts) == 3 else 0.0)


def parse_keys(texts: Sequence[str]) -> tuple[Key, ...]:
    """Several entries as keys; raises ValueError, which names the wrong entry by its place."""
    keys: list[Key] = []
    for place, text in enumerate(texts, 1):
        try:
            keys.append(parse_key(text))
        except ValueError as error:
            raise ValueError(f"entry {place} is not a key: {error}") from error
        if len({key.name for key in keys}) < place or len({key.digest for key in keys}) < place:
            raise ValueError(f"entry {place} has the name or the hash of an earlier one")
    return tuple(keys)


def make_key() -> str:
    """A new key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """The SHA-256 of a key, in lower-case hexadecimals.

    >>> hash_key("key")[:8]
    '2c70e12b'
    """
    return hashlib.sha256(key.encode()).hexdigest()


def find_key(keys: Sequence[Key], offered: str) -> Key | None:
    """The key that is offered, or None; compares with every key, so that the time reveals nothing."""
    digest, found = hash_key(offered), None
    for key in keys:
        if hmac.compare_digest(digest, key.digest):
            found = key
    return found


def read_key(headers: Mapping[str, str]) -> str:
    """The key in HTTP headers or gRPC metadata, whose names are in lower case; empty where there is none.

    >>> read_key({"authorization": "Bearer bm_1"})
    'bm_1'
    """
    bearer = headers.get("authorization", "")
    if bearer[: len(SCHEME)].lower() == SCHEME:
        return bearer[len(SCHEME) :].strip()
    return headers.get(HEADER, "")


def read_subprotocol_key(subprotocols: Sequence[str]) -> str:
    """The key among a WebSocket's subprotocols; empty where there is none.

    >>> read_subprotocol_key(["blitzmask.v1", "blitzmask.key.Ym1fMQ"])
    'bm_1'
    """
    for name in subprotocols:
        if name.startswith(SUBPROTOCOL):
            encoded = name.removeprefix(SUBPROTOCOL)
            try:
                return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            except (binascii.Error, ValueError):
                return ""
    return ""


def _parse_rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate <= HIGHEST_RATE:
        raise ValueError(f"the rate has to be more than 0 and at most {HIGHEST_RATE:,.0f} requests a second")
    return rate


Cells: TypeAlias = "memoryview[float]"
WIDTH = 8  # bytes of a cell
ROUNDING_S = 1e-6
SEVERAL = (
    "the change would reach only one of several workers; let them follow the models folder with "
    "BLITZ_WATCH_S, or run a single one with BLITZ_WORKERS=1"
)


@dataclass(frozen=True, slots=True)
class RateMeter:
    """Allows a rate of requests, with one second's worth of them at once (a leaky bucket, GCRA).

    The cell holds the time, of the machine's monotonic clock, up to which the rate is used up. Worker
    processes share the cell; where two write at the same moment, one request is not counted. The library
    `limits` does the same, but it shares counts between processes only through a server such as Redis.
    """

    rate: float
    cells: Cells
    place: int

    def count(self) -> RateLimited | None:
        """Count one request; returns the error if it exceeds the rate, and then does not count it."""
        now = time.monotonic()
        due = max(self.cells[self.place], now)
        wait = due - now - max(0.0, 1 - 1 / self.rate)
        if wait > ROUNDING_S:
            allowed = f"this key may be used for {self.rate:g} requests or frames a second"
            return RateLimited(f"{allowed}; come back in {wait:.2g} seconds", retry_after_s=wait)
        self.cells[self.place] = due + 1 / self.rate
        return None


@dataclass(frozen=True, slots=True)
class Caller:
    """A client that has shown a key; `name` is the key's."""

    name: str
    admin: bool
    meter: RateMeter | None = None

    def count(self) -> RateLimited | None:
        """Count one request or frame; returns the error if it exceeds the rate."""
        return None if self.meter is None else self.meter.count()

    def charge(self) -> None:
        """Count one request; raises RateLimited if it exceeds the rate."""
        if (error := self.count()) is not None:
            raise error


class Callers:
    """Decides who may call: everybody if there are no `keys`, otherwise clients that show one of them.

    Only one of the `admins` keys may change the models; such a key opens everything else too. `cells` is
    memory in which several processes share their rate meters; `changing` false: nobody may change the models.
    """

    def __init__(
        self,
        keys: Sequence[Key] = (),
        admins: Sequence[Key] = (),
        *,
        cells: "Cells | None" = None,
        changing: bool = True,
    ) -> None:
        self._keys = (*keys, *admins)
        meters = _make_meters(self._keys, cells)
        self._callers = {
            key: Caller(key.name, key in admins, meter) for key, meter in zip(self._keys, meters, strict=True)
        }
        self.required = bool(keys)
        reachable = "" if changing else SEVERAL
        self._obstacle = reachable if admins else "BLITZ_ADMIN_KEYS is not set"

    def admit(self, headers: Mapping[str, str]) -> Caller:
        """The caller, by headers or metadata whose names are in lower case; raises Unauthorized."""
        return self.identify(read_key(headers))

    def identify(self, offered: str) -> Caller:
        """The caller to whom a key belongs; raises Unauthorized."""
        key = find_key(self._keys, offered)
        if key is None:
            fault = "this one is not known" if offered else "there is none"
            raise Unauthorized(f"send your key as X-API-Key, or as Authorization: Bearer; {fault}")
        return self._callers[key]

    def knows(self, headers: Mapping[str, str]) -> bool:
        """True if a caller may see details that need a key; always if no key is needed."""
        return not self.required or find_key(self._keys, read_key(headers)) is not None

    def admit_admin(self, headers: Mapping[str, str]) -> Caller:
        """The caller who wants to change the models; raises Unauthorized, and Forbidden without the right."""
        if self._obstacle:
            raise Forbidden(f"nobody may do this here: {self._obstacle}")
        caller = self.admit(headers)
        if not caller.admin:
            raise Forbidden(f"the key {caller.name} may not do this; it needs one of BLITZ_ADMIN_KEYS")
        return caller


def make_cells(count: int) -> Cells:
    """`count` numbers for rate meters, at first 0; a process that is forked shares them with its parent."""
    return memoryview(mmap.mmap(-1, max(count, 1) * WIDTH)).cast("d")


def _make_meters(keys: Sequence[Key], cells: "Cells | None") -> list[RateMeter | None]:
    """A meter for every key that has a rate."""
    cells = make_cells(len(keys)) if cells is None else cells
    return [RateMeter(key.rate, cells, place) if key.rate else None for place, key in enumerate(keys)]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that both transports apply before they answer.

    origins: the sites, beside this service's own, whose pages may open live streams.
    open_metrics: whether /metrics needs no key.
    first_s, idle_s: seconds until a stream's first message, and between two of them.
    """

    callers: Callers = field(default_factory=Callers)
    origins: tuple[str, ...] = ()
    open_metrics: bool = False
    first_s: float = 10.0
    idle_s: float = 300.0


ANYBODY = Rules()
