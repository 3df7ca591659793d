"""The web page at `/`: static files, read once, that only this service's own scripts and styles may join."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

FOLDER = Path(__file__).parent / "page"

MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)

# Beside those of every answer.
# no-cache: kept by the browser, but asked for by its ETag each time, so that an upgrade is seen at once.
HEADERS: Mapping[str, str] = {
    "cache-control": "no-cache",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page."""

    body: bytes
    media_type: str
    etag: str


def read_assets(folder: Path) -> Mapping[str, Asset]:
    """The files below a folder that a page is made of, by their path in it.

    >>> read_assets(FOLDER)["js/main.js"].media_type
    'text/javascript; charset=utf-8'
    """
    files = (file for file in sorted(folder.rglob("*")) if file.suffix in MEDIA_TYPES)
    return {file.relative_to(folder).as_posix(): read_asset(file) for file in files}


def read_asset(file: Path) -> Asset:
    """A file, its type, and an ETag of its content."""
    body = file.read_bytes()
    return Asset(body, MEDIA_TYPES[file.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


ASSETS = read_assets(FOLDER)

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    return answer_asset(request, ASSETS["index.html"])


@router.api_route("/page/{path:path}", methods=["GET", "HEAD"])
async def asset(request: Request, path: str) -> Response:
    found = ASSETS.get(path)
    if found is None:
        raise HTTPException(404)
    return answer_asset(request, found)


def answer_asset(request: Request, found: Asset) -> Response:
    """The file, or 304 where the browser holds it already."""
    headers = {**HEADERS, "etag": found.etag}
    held = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if found.etag in held or "*" in held:
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)
