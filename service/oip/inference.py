"""Answers a request of the protocol by the engine: with the slots, queue, deadlines and limits of all."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TypeVar

import numpy as np

from service.compute.task import Turn
from service.errors import BlitzError, InvalidOption
from service.oip.models import MASK_OUTPUTS, View
from service.oip.parameters import read_parameters
from service.oip.tensors import BYTES, FREE, Offered, Tensor, check_tensor, detach, read_tensor
from service.serving.engine import Call, Engine
from service.telemetry.request_log import RequestRecord
from service.types import Answer, BackendInfo, Instance, Options, Rle, Timings, seconds_to_ms

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One inference; empty `outputs` stand for all of them, and the version None for the newest."""

    view: View
    version: str | None
    inputs: tuple[Offered, ...]
    outputs: tuple[str, ...] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The outputs in the order in which they were asked for, and the time they took.

    parameters: the backend. instances: the number found, None if the caller decodes the heads.
    """

    name: str
    version: str
    id: str
    outputs: tuple[Tensor, ...]
    parameters: Mapping[str, str | int]
    timings: Timings
    queue_ms: float
    render_ms: float = 0.0
    images: int = 1
    instances: int | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """A request that fits its model; the deadline is a time of the loop's clock."""

    request: Request
    options: Options
    outputs: tuple[str, ...]
    deadline: float


@dataclass(frozen=True, slots=True)
class _Head:
    """The parts of a plan that a reply repeats; unlike the plan, they fit into a message."""

    name: str
    id: str
    outputs: tuple[str, ...]


async def infer(
    engine: Engine, request: Request, *, deadline: float, record: RequestRecord, render: Callable[[Reply], T]
) -> tuple[Reply, T]:
    """The reply and its rendering, both computed in a worker slot; raises BlitzError's leaves.

    render: a module-level function or a partial of one, which another process could call. record: records
    the model, the number of instances and the time of each stage.
    """
    begun = time.perf_counter()
    view = request.view
    record.about["model"] = view.name
    answer = _segment if view.kind == "image" else _compute
    try:
        plan = _plan(request, deadline)
        reply, rendered = await answer(engine, plan, render)
    except BlitzError:
        engine.statistics.failed(view.key, (time.perf_counter() - begun) * 1000)
        raise
    if reply.instances is None:
        engine.metrics.stages(reply.name, reply.timings, queue_ms=reply.queue_ms, render_ms=reply.render_ms)
    else:  # the engine has counted them
        record.about["instances"] = reply.instances
    record.spent(reply.timings, queue_ms=reply.queue_ms, render_ms=reply.render_ms)
    engine.statistics.succeeded(
        (reply.name, reply.version), reply.timings, queue_ms=reply.queue_ms, images=reply.images
    )
    return reply, rendered


async def _segment(engine: Engine, plan: _Plan, render: Callable[[Reply], T]) -> tuple[Reply, T]:
    request = plan.request
    image: bytes = read_tensor(request.inputs[0]).item()
    call = Call(image, plan.options, request.view.model.card.name, request.version, plan.deadline)
    head = _Head(request.view.name, request.id, plan.outputs)
    answer, (reply, rendered) = await engine.segment(call, partial(_render_answer, head=head, render=render))
    return replace(reply, render_ms=answer.render_ms), rendered


def _render_answer(answer: Answer, head: _Head, render: Callable[[Reply], T]) -> tuple[Reply, T]:
    """The reply without its tensors, which only `render` needs, and the rendering."""
    reply = _answer_to_reply(answer, head)
    return replace(reply, outputs=()), render(reply)


async def _compute(engine: Engine, plan: _Plan, render: Callable[[Reply], T]) -> tuple[Reply, T]:
    inputs = tuple(detach(offered) for offered in plan.request.inputs)
    work = partial(_compute_and_render, replace(plan, request=replace(plan.request, inputs=inputs)), render)
    return await engine.admission.run(work, deadline=plan.deadline)


def _compute_and_render(plan: _Plan, render: Callable[[Reply], T], turn: Turn) -> tuple[Reply, T]:
    reply = _compute_heads(plan, crowded=turn.crowded, queue_ms=seconds_to_ms(turn.waited_s))
    begun = time.perf_counter()
    rendered = render(reply)
    reply = replace(reply, outputs=(), render_ms=seconds_to_ms(time.perf_counter() - begun))
    return reply, rendered


def _answer_to_reply(answer: Answer, head: _Head) -> Reply:
    found = answer.segmentation
    tensors = {tensor.name: tensor for tensor in answer_to_tensors(answer)}
    return Reply(
        head.name,
        found.version,
        head.id,
        outputs=tuple(tensors[name] for name in head.outputs),
        parameters=backend_to_parameters(found.backend),
        timings=found.timings,
        queue_ms=answer.queue_ms,
        instances=len(found.instances),
    )


def _compute_heads(plan: _Plan, *, crowded: bool, queue_ms: float) -> Reply:
    view, backend = plan.request.view, plan.request.view.model.backend
    begun = time.perf_counter()
    pixels = read_tensor(plan.request.inputs[0])
    read = time.perf_counter()
    heads = backend.run(pixels, crowded=crowded)
    timings = Timings(prepare=seconds_to_ms(read - begun), infer=seconds_to_ms(time.perf_counter() - read))
    return Reply(
        view.name,
        view.version,
        plan.request.id,
        outputs=tuple(Tensor(name, "FP32", heads[name]) for name in plan.outputs),
        parameters=backend_to_parameters(backend.describe()),
        timings=timings,
        queue_ms=queue_ms,
        images=len(pixels),
    )


def backend_to_parameters(backend: BackendInfo) -> dict[str, str | int]:
    """The backend of a reply as parameters of the protocol: lists are joined by commas."""
    values = {part.name: getattr(backend, part.name) for part in fields(backend)}
    return {name: ",".join(value) if isinstance(value, tuple) else value for name, value in values.items()}


def answer_to_tensors(answer: Answer) -> tuple[Tensor, ...]:
    """The same answer as the native JSON; without areas and rles where no masks were asked for."""
    found = answer.segmentation
    instances = found.instances
    boxes = np.array([instance.bbox for instance in instances], np.float32).reshape(-1, 4)
    tensors = (
        Tensor("image_size", "INT64", np.array([found.image.height, found.image.width], np.int64)),
        Tensor("boxes", "FP32", boxes),
        Tensor("scores", "FP32", np.array([instance.score for instance in instances], np.float32)),
        Tensor("labels", BYTES, _texts(instance.label for instance in instances)),
        Tensor("category_ids", "INT64", np.array([each.category_id for each in instances], np.int64)),
    )
    return tensors + _masks_to_tensors(instances)


def _masks_to_tensors(instances: tuple[Instance, ...]) -> tuple[Tensor, ...]:
    rles = [each.segmentation.counts for each in instances if isinstance(each.segmentation, Rle)]
    areas = [each.area for each in instances if each.area is not None]
    if len(rles) != len(instances):
        return ()
    return Tensor("areas", "INT64", np.array(areas, np.int64)), Tensor("rles", BYTES, _texts(rles))


def _texts(texts: Iterable[str]) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    return np.array([text.encode() for text in texts], object)


def _plan(request: Request, deadline: float) -> _Plan:
    """Raises InvalidOption where parameters, inputs or outputs are not the model's."""
    parameters = read_parameters(request.view.kind, request.parameters)
    _check_inputs(request)
    _check_outputs(request)
    options, outputs = _plan_masks(parameters.options, request)
    return _Plan(request, options, outputs, _shorten(deadline, parameters.patience_s))


def _plan_masks(options: Options, request: Request) -> tuple[Options, tuple[str, ...]]:
    """Options and outputs that fit each other: masks that are not asked for are not computed."""
    if not request.outputs:
        left_out = MASK_OUTPUTS if options.masks == "none" else ()
        return options, tuple(name for name in _names(request.view) if name not in left_out)
    wanted = [name for name in request.outputs if name in MASK_OUTPUTS]
    if wanted and options.masks == "none":
        raise InvalidOption(f"output {wanted[0]} is asked for, and masks are none: leave one of the two out")
    return (options if wanted else replace(options, masks="none")), request.outputs


def _check_inputs(request: Request) -> None:
    """Raises InvalidOption unless they are the model's, by name, datatype, shape and batch size."""
    view = request.view
    offered = [each.name for each in request.inputs]
    if offered != [spec.name for spec in view.inputs]:
        expected = ", ".join(f"{spec.name} ({spec.datatype} {list(spec.shape)})" for spec in view.inputs)
        found = ", ".join(f"{name:.40}" for name in offered[:4]) or "none"
        raise InvalidOption(f"{len(offered)} inputs ({found}) are not what {view.name} takes: {expected}")
    for spec, each in zip(view.inputs, request.inputs, strict=True):
        check_tensor(spec, each)
        if spec.shape[0] == FREE and each.shape[0] > view.batch_limit:
            raise InvalidOption(f"the batch is {each.shape[0]}, {view.name} takes at most {view.batch_limit}")


def _check_outputs(request: Request) -> None:
    """Raises InvalidOption where one is unknown, or asked for twice."""
    known, asked = _names(request.view), request.outputs
    if unknown := [name for name in asked if name not in known]:
        raise InvalidOption(f"{request.view.name} has no output {unknown[0]:.40}, it has {', '.join(known)}")
    if len(set(asked)) != len(asked):
        raise InvalidOption("an output is asked for twice")


def _names(view: View) -> tuple[str, ...]:
    return tuple(spec.name for spec in view.outputs)


def _shorten(deadline: float, patience_s: float | None) -> float:
    if patience_s is None:
        return deadline
    return min(deadline, asyncio.get_running_loop().time() + patience_s)
