"""API keys: the service knows only their hashes, and a name for each that logs may show.

An entry of BLITZ_API_KEYS and BLITZ_ADMIN_KEYS is `name:hash`, `name:hash:rate` or only `hash`. The hash is
SHA-256 in hexadecimals, the rate is requests a second. `blitzmask key` makes a key and its entry.
"""

import base64
import binascii
import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HEADER = "x-api-key"
SCHEME = "bearer "
SUBPROTOCOL = "blitzmask.key."  # before a key in base64url: a page can set no other header of a WebSocket
PREFIX = "bm_"  # tells a person or a scanner that finds a key what it belongs to
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
