"""The FastAPI application: every endpoint, declared with its parameters and schemas, under our own layers.

Importing FastAPI and building its schemas takes as long as all else that a start needs, so `app` imports this
module once the service answers.
"""

from typing import Annotated

from fastapi import APIRouter, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import State
from starlette.exceptions import HTTPException

from service import __version__
from service.errors import BlitzError, InvalidOption
from service.rest import dialects, live, oip, oip_infer, operations, pages
from service.rest.boundary import Boundary
from service.rest.guard import Cors, Guard
from service.rest.openapi import SEGMENT_BODY, SEGMENT_RESPONSES
from service.rest.parameters import CallHeaders, SegmentQuery
from service.rest.problem import answer_blitz_error, answer_http_error, describe_fault, join_faults
from service.rest.segment import ROUTE, answer_segment

SUMMARY = "Real-time instance segmentation: an image in, COCO-RLE masks, boxes and scores out."

router = APIRouter(tags=["segmentation"])


@router.post(
    ROUTE.path,
    summary="Segment an image",
    operation_id="segment",
    response_class=Response,
    responses=SEGMENT_RESPONSES,
    openapi_extra={"requestBody": SEGMENT_BODY},
)
async def segment(
    request: Request,
    query: Annotated[SegmentQuery, Query()],
    headers: Annotated[CallHeaders, Header()],
) -> Response:
    """The instances in the image: label, score, box and mask of each.

    The image is the body itself, the only file of a multipart form, or base64 in JSON; gzip and deflate are
    read. `Accept` chooses the answer: JSON, COCO results, the image with everything drawn on it, a map of the
    masks, the image without its background, or a ZIP of the instances, each cut out. `COCO.loadRes` of
    pycocotools 2.0.11 fails on the empty list of an image without instances: put the results of all images
    into one list first.
    """
    return await answer_segment(request, query, headers.x_request_timeout)


ROUTERS = (  # in the order of the OpenAPI description
    router,
    live.router,
    operations.models_router,
    oip.router,
    oip_infer.router,
    operations.probes_router,
    pages.router,
)


def build_application(state: State) -> FastAPI:
    """The application with this state, which holds what `create_app` was given."""
    app = FastAPI(
        title="BlitzMask Server",
        summary=SUMMARY,
        version=__version__,
        openapi_url=None,  # `pages` serves it, completed
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state = state
    routers = (*ROUTERS, *dialects.list_routers(state.drop_in))
    state.routes = [route for router in routers for route in router.routes]
    for each in routers:
        app.include_router(each)
    app.add_exception_handler(BlitzError, answer_blitz_error)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_validation_error)
    _add_layers(app)
    return app


def _add_layers(app: FastAPI) -> None:
    """Wrap the application in the layers of `app.App`; the layer that is added last is the outermost."""
    rules = app.state.rules
    if rules.callers.required:
        app.add_middleware(Guard, rules=rules, routes=app.state.routes)
    if rules.origins:
        app.add_middleware(Cors, origins=rules.origins)
    app.add_middleware(Boundary, engine=app.state.engine)


async def answer_validation_error(request: Request, error: Exception) -> Response:
    """The response to a query, path or header that FastAPI refuses: an InvalidOption."""
    assert isinstance(error, RequestValidationError)
    faults = [describe_fault(item["type"], str(item["loc"][-1]), item["msg"]) for item in error.errors()]
    return await answer_blitz_error(request, InvalidOption(join_faults(faults)))
