"""A request of the protocol, answered by the engine: with the slots, queue, deadlines and limits of all."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from service.engine import Answer, Call, Engine
from service.errors import BlitzError, InvalidOption
from service.oip.parameters import TensorParameters, read_parameters
from service.oip.tensors import BYTES, FREE, Offered, Tensor, check_tensor, read_tensor
from service.oip.views import MASK_OUTPUTS, View
from service.types import Instance, Options, Rle, Timings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked; `outputs` are names, none of them meaning all; `version` is None for the newest."""

    view: View
    version: str | None
    inputs: tuple[Offered, ...]
    outputs: tuple[str, ...] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The outputs in the order in which they were asked for."""

    name: str
    version: str
    id: str
    outputs: tuple[Tensor, ...]


async def infer(engine: Engine, request: Request, *, deadline: float, render: Callable[[Reply], T]) -> T:
    """What `render` makes of the reply, both computed in a worker slot; raises BlitzError's leaves."""
    begun = time.perf_counter()
    try:
        parameters = read_parameters(request.view.kind, request.parameters)
        _check_inputs(request)
        _check_outputs(request)
        deadline = _shorten(deadline, parameters.patience_s)
        answer = _segment if request.view.kind == "image" else _compute
        return await answer(engine, request, parameters=parameters, deadline=deadline, render=render)
    except BlitzError:
        engine.statistics.failed(request.view.key, (time.perf_counter() - begun) * 1000)
        raise


async def _segment(
    engine: Engine,
    request: Request,
    *,
    parameters: TensorParameters,
    deadline: float,
    render: Callable[[Reply], T],
) -> T:
    view = request.view
    options, outputs = _plan_masks(parameters.options, request)
    image: bytes = read_tensor(request.inputs[0]).item()

    def render_answer(answer: Answer) -> T:
        tensors = {tensor.name: tensor for tensor in answer_to_tensors(answer)}
        found = tuple(tensors[name] for name in outputs)
        return render(Reply(view.name, answer.segmentation.version, request.id, found))

    call = Call(image, options, view.model.card.name, request.version, deadline)
    answer, rendered = await engine.segment(call, render_answer)
    engine.statistics.succeeded(
        (view.name, answer.segmentation.version),
        answer.segmentation.timings,
        queue_ms=answer.queue_ms,
        images=1,
    )
    return rendered


async def _compute(
    engine: Engine,
    request: Request,
    *,
    parameters: TensorParameters,
    deadline: float,
    render: Callable[[Reply], T],
) -> T:
    view, outputs = request.view, request.outputs or _names(request.view)

    def work(waited: float) -> tuple[Timings, float, T]:
        times = [time.perf_counter()]
        pixels = read_tensor(request.inputs[0])
        times.append(time.perf_counter())
        heads = view.model.backend.run(pixels, crowded=engine.admission.crowded)
        times.append(time.perf_counter())
        tensors = tuple(Tensor(name, "FP32", heads[name]) for name in outputs)
        rendered = render(Reply(view.name, view.version, request.id, tensors))
        prepare, compute = (np.diff(times) * 1000).tolist()
        return Timings(prepare=prepare, infer=compute), waited * 1000, rendered

    timings, queue_ms, rendered = await engine.admission.run(work, deadline=deadline)
    images = request.inputs[0].shape[0]
    engine.statistics.succeeded(view.key, timings, queue_ms=queue_ms, images=images)
    engine.metrics.stages(view.name, timings, queue_ms=queue_ms)
    return rendered


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


def _plan_masks(options: Options, request: Request) -> tuple[Options, tuple[str, ...]]:
    """Options and outputs that fit each other: masks that nobody wants are not computed."""
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
