"""`POST /v1/segment`: an image in, instances out."""

from functools import lru_cache

from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams

from service.errors import InvalidOption
from service.inference.documents import name_answerer, server_timing
from service.rest.answers import FORMATS, JSON, Source, choose_format, fit_options
from service.rest.asked import AskedOptions, SegmentQuery
from service.rest.description import SEGMENT_BODY, SEGMENT_RESPONSES
from service.rest.hangup import unless_gone
from service.rest.problem import access_of
from service.rest.query import describe_parameters, read_query, read_timeout
from service.rest.upload import Upload
from service.serving.engine import Call, Engine
from service.types import Options

router = APIRouter(tags=["segmentation"])


@router.post(
    "/v1/segment",
    summary="Segment an image",
    operation_id="segment",
    response_class=Response,
    responses=SEGMENT_RESPONSES,
    openapi_extra={"requestBody": SEGMENT_BODY, "parameters": describe_parameters()},
)
async def segment(request: Request) -> Response:
    """The instances in the image: label, score, box and mask of each.

    The image is the body itself, the field `image` of a multipart form, or base64 in JSON. `Accept` chooses
    the answer: JSON, COCO results, the picture with everything drawn on it, or a map of the masks.
    """
    engine: Engine = request.app.state.engine
    query, asked = read_asked(request.scope["query_string"])
    deadline = engine.deadline(read_timeout(request.headers))
    media = choose_format(", ".join(request.headers.getlist("accept")))
    options = fit_options(asked, media)
    upload = Upload(request, max_bytes=request.app.state.max_body)
    name, version = query.model or None, query.version or None
    model = engine.check(name, version)
    image = await upload.read(deadline)
    source = Source(image, model.limits, query.image_id)
    call = Call(image, options, name, version, deadline)
    answer, body = await unless_gone(
        request, engine.segment(call, lambda answer: FORMATS[media](answer, source))
    )
    found = answer.segmentation
    access_of(request).found(found, queue_ms=answer.queue_ms, render_ms=answer.render_ms)
    timing = server_timing(found.timings, queue_ms=answer.queue_ms, render_ms=answer.render_ms)
    headers = {"server-timing": timing, "vary": "accept"}
    return Response(
        body, media_type=media, headers=headers if media == JSON else headers | name_answerer(found)
    )


@lru_cache(64)  # clients ask the same again and again
def read_asked(query_string: bytes) -> tuple[SegmentQuery, Options]:
    """What is asked, and the options in it; raises InvalidOption where they cannot be used."""
    query = read_query(QueryParams(query_string))
    return query, query_to_options(query)


def query_to_options(query: AskedOptions) -> Options:
    """The options of a query; raises InvalidOption where `classes` is there but names none."""
    names = tuple(name.strip() for part in query.classes for name in part.split(",") if name.strip())
    if query.classes and not names:
        raise InvalidOption("classes is empty: name at least one label, or leave it out for all")
    return Options(
        query.score_threshold, query.max_instances, names or None, query.masks, query.exact, query.nms
    )
