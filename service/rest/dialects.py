"""Endpoints for the clients of other servers, each behind a setting: DeepStack, CVAT, Label Studio."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Request, Response

from service.dialects.cvat import describe_function, render_shapes
from service.dialects.deepstack import render_detections, render_failure
from service.dialects.label_studio import Control, parse_config, render_prediction
from service.dialects.pictures import DropIn, PictureSource
from service.errors import BlitzError, InvalidImage, InvalidOption
from service.inference.image_headers import has_signature
from service.rest.bodies import Body, parse
from service.rest.boundary import unless_gone
from service.rest.dependencies import EngineHeld
from service.rest.openapi import UPLOAD, problems
from service.rest.problem import STATUS, record_of
from service.rest.upload import DATA_URI, check_json, decode_base64, parse_form
from service.serving.engine import Call, Engine
from service.types import Answer, Options

JSON = "application/json"
MOST_TASKS = 100
TASK_STRINGS = 20_000  # of the JSON of tasks, which carries their annotations
TASK_ELEMENTS = 2_000_000

TAG = "other programs"
deepstack_router = APIRouter(tags=[TAG])
cvat_router = APIRouter(tags=[TAG])
label_studio_router = APIRouter(prefix="/label-studio", tags=[TAG])


def list_routers(drop_in: DropIn) -> tuple[APIRouter, ...]:
    """The endpoints that are switched on."""
    asked = (drop_in.deepstack, drop_in.cvat, drop_in.label_studio is not None)
    every = (deepstack_router, cvat_router, label_studio_router)
    return tuple(router for router, on in zip(every, asked, strict=True) if on)


@deepstack_router.post("/v1/vision/detection", summary="Detect objects, as DeepStack does")
async def detect(request: Request) -> Response:
    """The objects in the file `image` of a form, above its field `min_confidence`; each with its mask."""
    return await _answer_detection(request, None)


@deepstack_router.api_route(
    "/v1/vision/custom/list", methods=["GET", "POST"], summary="List the models, as CodeProject.AI does"
)
@deepstack_router.api_route("/v1/vision/list", methods=["GET", "POST"], include_in_schema=False)
async def list_custom(engine: EngineHeld) -> dict[str, object]:
    """The names for `/v1/vision/custom/NAME`."""
    names = dict.fromkeys(model.card.name for model in engine.catalog.models())
    return {"success": True, "models": list(names), "moduleName": "BlitzMask", "code": 200}


@deepstack_router.post("/v1/vision/custom/{name}", summary="Detect objects with a model, as DeepStack does")
async def detect_with(request: Request, name: str) -> Response:
    """As `/v1/vision/detection`, with the model NAME."""
    return await _answer_detection(request, name)


async def _answer_detection(request: Request, name: str | None) -> Response:
    engine: Engine = request.app.state.engine
    try:
        with Body(request) as body:
            engine.check(name, None)
            content = await body.read(engine.deadline(None))
            image, threshold = read_detection(content, request.headers.get("content-type", ""))
            call = Call(image, Options(score_threshold=threshold), name, deadline=engine.deadline(None))
            rendered = await _segment(request, call, render_detections)
    except BlitzError as error:
        record_of(request).outcome = type(error).__name__
        status = STATUS[type(error)]
        return Response(render_failure(str(error), status), status, media_type=JSON)
    return Response(rendered, media_type=JSON)


def read_detection(body: bytes, content_type: str) -> tuple[bytes, float | None]:
    """The image and the lowest score of a form; raises InvalidImage, InvalidOption.

    Other fields are ignored: clients send keys and options of servers that this one is not.
    """
    if has_signature(body):
        return body, None
    parts = parse_form(body, content_type)
    images = [part.content for part in parts if part.name == "image" or part.is_file]
    if not images or not images[0]:
        raise InvalidImage("the form has no file: send the picture as its file `image`")
    given = [part.content for part in parts if part.name == "min_confidence"]
    try:
        return images[0], float(given[0]) if given and given[0].strip() else None
    except ValueError as error:
        raise InvalidOption("min_confidence is no number: send one from 0 to 1") from error


@cvat_router.get("/api/functions", summary="List the models, as nuclio does for CVAT")
async def list_functions(request: Request, engine: EngineHeld) -> dict[str, Any]:
    """Each model as a function, by its name."""
    port = request.url.port or 80
    newest = {model.card.name: model.card for model in reversed(engine.catalog.models())}
    return {name: describe_function(card, port) for name, card in newest.items()}


@cvat_router.get(
    "/api/functions/{name}", summary="Describe a model, as nuclio does for CVAT", responses=problems(404)
)
async def describe_one(request: Request, engine: EngineHeld, name: str) -> dict[str, Any]:
    """A model as a function."""
    return describe_function(engine.catalog.get(name).card, request.url.port or 80)


@cvat_router.post(
    "/api/function_invocations", summary="Annotate a frame of CVAT", responses=problems(404, *UPLOAD)
)
async def invoke(
    request: Request, x_nuclio_function_name: Annotated[str | None, Header()] = None
) -> Response:
    """The objects in the base64 `image` of the JSON, above its `threshold`, as CVAT draws them."""
    engine: Engine = request.app.state.engine
    with Body(request) as body:
        engine.check(x_nuclio_function_name, None)
        content = await body.read(engine.deadline(None))
        check_json(content, 100)
        asked = await parse(len(content), _read_json, content)
        image = await parse(len(content), _decode_image, asked.get("image"))
        options = Options(score_threshold=_read_threshold(asked.get("threshold")))
        call = Call(image, options, x_nuclio_function_name, deadline=engine.deadline(None))
        return Response(await _segment(request, call, render_shapes), media_type=JSON)


@label_studio_router.get("/health", summary="Tell Label Studio that it may ask", responses=problems(503))
async def health(engine: EngineHeld) -> dict[str, str]:
    """The state that Label Studio expects of an ML backend."""
    return {"status": "UP", "model_class": engine.catalog.get().card.name}


@label_studio_router.post("/setup", summary="Check a project of Label Studio", responses=problems(400, 503))
async def setup(request: Request, engine: EngineHeld) -> dict[str, str]:
    """The model's version; refused where the labelling interface of the project has no place for objects."""
    with Body(request) as body:
        asked = await _read_tasks(await body.read(engine.deadline(None)))
    parse_config(_expect_text(asked.get("schema") or asked.get("label_config"), "schema"))
    card = engine.catalog.get().card
    return {"model_version": f"{card.name} {card.version}"}


@label_studio_router.post("/predict", summary="Label tasks of Label Studio", responses=problems(*UPLOAD))
async def predict(request: Request, engine: EngineHeld) -> Response:
    """A prediction for each task: brush, polygons or boxes, as the project's labelling interface asks for."""
    with Body(request) as body:
        asked = await _read_tasks(await body.read(engine.deadline(None)))
        control = parse_config(_expect_text(asked.get("label_config"), "label_config"))
        tasks = asked.get("tasks")
        if not isinstance(tasks, list) or len(tasks) > MOST_TASKS:
            raise InvalidOption(f"tasks is expected to be a list of at most {MOST_TASKS} tasks")
        # One after the other: other callers need slots too.
        results = [await _predict_task(request, task, control) for task in tasks]
    return Response(b'{"results":[' + b",".join(results) + b"]}", media_type=JSON)


async def _predict_task(request: Request, task: object, control: Control) -> bytes:
    engine: Engine = request.app.state.engine
    data = task.get("data") if isinstance(task, dict) else None
    address = data.get(control.field) if isinstance(data, dict) else None
    picture = _expect_text(address, f"the field {control.field} of a task")
    source: PictureSource = request.app.state.drop_in.label_studio
    if DATA_URI.match(picture):
        image = await parse(len(picture), _decode_image, picture)
    else:
        image = await asyncio.to_thread(source.fetch, picture)
    known = {label.name for label in engine.catalog.get().card.labels}
    labels = tuple(sorted(known & control.labels))
    if not labels:
        raise InvalidOption(
            f"the project has none of the model's labels, which are {', '.join(sorted(known))}"
        )
    call = Call(image, Options(classes=labels), deadline=engine.deadline(None))
    return await _segment(request, call, partial(render_prediction, control=control))


async def _segment(request: Request, call: Call, render: Callable[[Answer], bytes]) -> bytes:
    """The rendered answer for an image; the log line of the request tells what was found."""
    engine: Engine = request.app.state.engine
    found, rendered = await unless_gone(request, engine.segment(call, render))
    record_of(request).found(found)
    return rendered


async def _read_tasks(body: bytes) -> dict[str, Any]:
    check_json(body, TASK_ELEMENTS, strings=TASK_STRINGS)
    return await parse(len(body), _read_json, body)


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidOption(f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidOption("the body is JSON, but not an object")
    return content


def _decode_image(text: object) -> bytes:
    try:
        image = decode_base64(_expect_text(text, "image"))
    except ValueError as error:
        raise InvalidImage(f"image is not base64: {error}") from error
    if not image:
        raise InvalidImage("the image is empty: 0 bytes")
    return image


def _read_threshold(value: object) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise InvalidOption("threshold is no number: send one from 0 to 1, or leave it out")


def _expect_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidOption(f"{name} is missing, or is no text")
    return value
