"""The pages for browsers: `/`, its files below `/page/`, `/docs`, and the description that `/docs` shows.

All files are read once. Their policy allows no scripts and styles but the service's own.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response

from service.rest.dependencies import CallerKnown, EngineHeld
from service.rest.openapi import Names, describe_app
from service.serving.engine import Engine

FOLDER = Path(__file__).parent / "page"

MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)

# In addition to those of every answer.
# no-cache: the browser keeps a file but asks for its ETag each time, so that it sees an upgrade at once.
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
    """The files of a page, by their path in its folder.

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


@router.get("/")
async def index(request: Request) -> Response:
    return answer_asset(request, ASSETS["index.html"])


@router.get("/page/{path:path}")
async def asset(request: Request, path: str) -> Response:
    found = ASSETS.get(path)
    if found is None:
        raise HTTPException(404)
    return answer_asset(request, found)


def answer_asset(request: Request, found: Asset) -> Response:
    """The file, or 304 where the browser has it already."""
    headers = {**HEADERS, "etag": found.etag}
    held = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if found.etag in held or "*" in held:
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)


@lru_cache(2)  # one takes tens of milliseconds
def write_description(app: FastAPI, names: Names | None) -> bytes:
    """The OpenAPI description as JSON."""
    return orjson.dumps(describe_app(app, names))


def name_default(engine: Engine) -> Names:
    """The names of the default model."""
    card = engine.catalog.get().card
    return Names(card.name, card.version, card.labels[0].name)


@router.get("/openapi.json")
async def openapi(request: Request, engine: EngineHeld, known: CallerKnown) -> Response:
    names = name_default(engine) if known and engine.ready else None
    return Response(write_description(request.app, names), media_type="application/json")


@router.get("/docs")
async def docs(request: Request) -> Response:
    return answer_asset(request, ASSETS["docs.html"])
