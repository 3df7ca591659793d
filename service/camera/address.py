"""Addresses that people type for cameras and brokers. No message and no name shows a part of a password."""

import re
from urllib.parse import SplitResult, unquote, urlsplit

from service.errors import InvalidOption

# Some cameras take a user and a password in the query, or even in the path.
SECRET = re.compile(r"(user|usr|login|pass|pwd|psw|token|auth|key|secret|session)[^/?&;]*=", re.IGNORECASE)
ENCODE = (
    "percent-encode these characters in the user name and the password: "
    "/ is %2F, ? is %3F, # is %23, @ is %40, % is %25, [ is %5B, ] is %5D, a space is %20"
)
HIDDEN = "(not shown, because it may hold a password)"


def split_address(text: str) -> SplitResult:
    """The parts of an address.

    Raises InvalidOption where a user name or a password has characters that need percent-encoding, and where
    the port is not a number. Its text shows no part of the address but the scheme.

    >>> split_address("rtsp://admin:hunter%2F2@door/live").hostname
    'door'
    """
    scheme = text.partition("://")[0]
    try:
        parts = urlsplit(text)
    except ValueError as error:  # a bracket
        raise InvalidOption(f"{scheme}://...: {ENCODE}") from error
    if _needs_encoding(text, parts):
        raise InvalidOption(f"{scheme}://...: {ENCODE}")
    try:
        _ = parts.port
    except ValueError as error:
        raise InvalidOption(f"{scheme}://...: the port is not a number from 0 to 65535") from error
    return parts


def _needs_encoding(text: str, parts: SplitResult) -> bool:
    user, _, _ = parts.netloc.rpartition("@")
    rest = text.partition("://")[2][len(parts.netloc) :]
    spaced = re.search(r"[\s\x00-\x1f\x7f]", text) is not None
    return spaced or "@" in user + rest or re.search(r"%(?![0-9A-Fa-f]{2})", user) is not None


def name_address(parts: SplitResult) -> str:
    """Host, port, path and query of an address, without the parts that may hold a secret.

    >>> name_address(split_address("rtsp://me:secret@nvr:554/cam?channel=1&password=secret&2"))
    'nvr:554/cam?channel=1&2'
    """
    host = parts.netloc.rpartition("@")[2]
    path = "/".join(step for step in parts.path.split("/") if not _is_secret(step))
    query = "&".join(pair for pair in parts.query.split("&") if not _is_secret(pair))
    return f"{host}{path}".rstrip("/") + f"?{query}" * bool(query)


def is_name_complete(parts: SplitResult) -> bool:
    """True if the name shows the whole path. Otherwise several addresses may have the same name."""
    return not any(map(_is_secret, parts.path.split("/")))


def hide_password(text: str) -> str:
    """The text, or HIDDEN if it may hold a password.

    >>> hide_password("clip.mp4"), hide_password("rtsp:/me:secret@door")
    ('clip.mp4', '(not shown, because it may hold a password)')
    """
    return HIDDEN if "@" in text or SECRET.search(text) else text


def _is_secret(part: str) -> bool:
    plain = unquote(part)
    return "@" in plain or SECRET.search(f"{plain}=") is not None
