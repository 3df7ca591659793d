"""`/openapi.json`, and `/docs`: the same as a page that needs nothing but this service."""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path

import orjson
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse, Response

from service.rest.description import Names, describe_app
from service.rest.held import CallerKnown, EngineHeld
from service.serving.engine import Engine

router = APIRouter(include_in_schema=False)

PAGE = (Path(__file__).parent / "docs.html").read_text(encoding="utf-8")


def name_inline(page: str, tag: str) -> str:
    """What a policy has to name for a page's inline `<tag>` to be heeded.

    >>> name_inline("<style></style>", "style")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    content = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src {name_inline(PAGE, 'script')}",
        f"style-src {name_inline(PAGE, 'style')}",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)


@lru_cache(2)  # it takes tens of milliseconds, and anybody may ask
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
async def docs() -> Response:
    return HTMLResponse(PAGE, headers={"content-security-policy": POLICY})
