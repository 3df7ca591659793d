"""The REST application: one engine, its endpoints, and one face for every error."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from service import __version__
from service.errors import BlitzError
from service.rest import admin as admins
from service.rest import docs, live, models, oip, oip_repository, pages, probes, segment
from service.rest.boundary import Boundary
from service.rest.direct import Direct
from service.rest.guard import Guard
from service.rest.problem import answer_blitz_error, answer_http_error, answer_validation_error
from service.security.callers import ANYBODY, Rules
from service.serving.engine import Engine

ROUTERS = tuple(
    part.router for part in (segment, live, models, admins, oip, oip_repository, probes, docs, pages)
)
SUMMARY = "Real-time instance segmentation: an image in, COCO-RLE masks, boxes and scores out."


def create_app(engine: Engine, *, max_body: int, rules: Rules = ANYBODY) -> FastAPI:
    """The application over `engine`; it refuses bodies of more than `max_body` bytes.

    `rules`: who has to show a key.
    """
    app = FastAPI(
        title="BlitzMask Server",
        summary=SUMMARY,
        version=__version__,
        openapi_url=None,  # `docs` serves it, completed
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.engine = engine
    app.state.max_body = max_body
    app.state.rules = rules
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(BlitzError, answer_blitz_error)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_validation_error)
    app.add_middleware(Direct, router=segment.router)  # the innermost
    if rules.callers.required:
        app.add_middleware(Guard, rules=rules, routes=[route for each in ROUTERS for route in each.routes])
    app.add_middleware(Boundary, engine=engine)
    return app
