"""The REST application: one engine, its endpoints, and the layers around them."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from service import __version__
from service.errors import BlitzError
from service.rest import live, models, oip, oip_infer, pages, probes, segment
from service.rest.bodies import BodyBudget
from service.rest.boundary import Boundary
from service.rest.guard import Cors, Guard
from service.rest.problem import answer_blitz_error, answer_http_error, answer_validation_error
from service.security.callers import ANYBODY, Rules
from service.serving.engine import Engine

ROUTERS = tuple(part.router for part in (segment, live, models, oip, oip_infer, probes, pages))
SUMMARY = "Real-time instance segmentation: an image in, COCO-RLE masks, boxes and scores out."
BODIES = 256_000_000  # bytes of all bodies together


def create_app(engine: Engine, *, max_body: int, max_bodies: int = BODIES, rules: Rules = ANYBODY) -> FastAPI:
    """The application over `engine`.

    max_body, max_bodies: bytes of one request's body, and of all bodies at one time.
    rules: the callers that have to show a key, and the sites whose pages may call.
    """
    app = FastAPI(
        title="BlitzMask Server",
        summary=SUMMARY,
        version=__version__,
        openapi_url=None,  # `pages` serves it, completed
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.engine = engine
    app.state.bodies = BodyBudget(max_body, max_bodies)
    app.state.rules = rules
    app.state.routes = [route for router in ROUTERS for route in router.routes]
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(BlitzError, answer_blitz_error)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_validation_error)
    # The layer that is added last is the outermost.
    app.add_middleware(segment.HotPath)
    if rules.callers.required:
        app.add_middleware(Guard, rules=rules, routes=app.state.routes)
    if rules.origins:
        app.add_middleware(Cors, origins=rules.origins)
    app.add_middleware(Boundary, engine=engine)
    return app
