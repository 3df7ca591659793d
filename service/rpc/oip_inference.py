"""Inference by the Open Inference Protocol: requests and replies as messages, and ModelStreamInfer."""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping

from service.errors import InvalidOption, NotReady
from service.oip.inference import Request, infer
from service.oip.models import View, find_view
from service.oip.tensors import FREE, Offered
from service.rpc.boundary import CALLER, Context, begin_answer, error_to_status
from service.rpc.generated import grpc_predict_v2_pb2 as pb
from service.rpc.messages import refuse_unknown, render_stream_reply
from service.rpc.registry import check_read
from service.security.callers import Rules
from service.serving.engine import Engine, Models
from service.serving.streaming import unless_stopped
from service.telemetry.request_log import RequestRecord

CONTENTS = {"UINT8": "uint_contents", "BYTES": "bytes_contents"}  # the datatypes of the models' inputs
SHARED_MEMORY = "shared_memory_region"  # in the place of elements: the one parameter that cannot be ignored
REQUEST = "ModelStreamInfer/request"
ASK_FINAL = "triton_enable_empty_final_response"  # asks for FINAL, which is in every answer
LONGEST_NAME = 200  # characters of a model's name in the log
LONGEST_ID = 1000  # characters of a request's id, which the answer repeats

Answers = asyncio.Queue["asyncio.Task[bytes] | None"]


class InferenceStream:
    """One call. It works on as many requests at a time as there are slots, plus one."""

    def __init__(self, engine: Engine, context: Context, rules: Rules) -> None:
        self._engine = engine
        self._rules = rules
        self._caller = CALLER.get()
        self._context = context
        self._room = asyncio.Semaphore(engine.admission.slots + 1)

    async def answer(self, record: RequestRecord) -> None:
        """Answer until the client has no more requests.

        Raises Overloaded when too many streams are open, and NotReady when the service stops.
        """
        with self._engine.count_stream():
            await begin_answer(self._context)
            try:
                async with asyncio.TaskGroup() as group:
                    answers: Answers = asyncio.Queue()
                    group.create_task(self._write(answers))
                    await self._read(group, answers, record)
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        if self._engine.stopping.is_set():
            raise NotReady("the service is stopping; all requests read so far are answered")

    async def _read(self, group: asyncio.TaskGroup, answers: Answers, record: RequestRecord) -> None:
        stopping, within_s = self._engine.stopping, self._rules.first_s
        while not stopping.is_set():
            await self._room.acquire()
            request = await unless_stopped(self._receive(), stopping, within_s=within_s)
            if request is None:
                break
            within_s = self._rules.idle_s
            answers.put_nowait(group.create_task(self._answer(request, record)))
        answers.put_nowait(None)

    async def _write(self, answers: Answers) -> None:
        while (task := await answers.get()) is not None:
            await self._context.write(await task)
            self._room.release()

    async def _receive(self) -> pb.ModelInferRequest | None:
        message = check_read(await self._context.read())
        return message if isinstance(message, pb.ModelInferRequest) else None

    async def _answer(self, message: pb.ModelInferRequest, stream: RequestRecord) -> bytes:
        """The answer to one request, which may be an error."""
        about: dict[str, object] = {"method": REQUEST, "model": message.model_name[:LONGEST_NAME]}
        record = RequestRecord(
            "grpc", stream.request_id, key=stream.key, about=about, started=time.perf_counter()
        )
        try:
            if self._caller is not None:
                self._caller.charge()
            message.parameters.pop(ASK_FINAL, None)
            request = request_from_proto(message, self._engine.catalog)
            deadline = self._engine.deadline(None)
            _, response = await infer(
                self._engine, request, deadline=deadline, record=record, render=render_stream_reply
            )
            return response
        except Exception as error:
            record.failed(error)
            _, text = error_to_status(error)
            failed = pb.ModelInferResponse(id=message.id[:LONGEST_ID])
            return pb.ModelStreamInferResponse(error_message=text, infer_response=failed).SerializeToString()
        finally:
            record.write(self._engine.metrics, REQUEST, quiet=True)


def request_from_proto(message: pb.ModelInferRequest, catalog: Models) -> Request:
    """The request and its model; raises ModelNotFound, InvalidOption.

    Unknown parameters of tensors are ignored, as other servers of the protocol do, because clients send their
    own, such as `binary_data_size`.
    """
    view = find_view(catalog, message.model_name, message.model_version)
    refuse_unknown(message)
    if len(message.id) > LONGEST_ID:
        raise InvalidOption(f"the id has {len(message.id)} characters, at most {LONGEST_ID} are repeated")
    parts = [each.parameters for each in message.inputs] + [each.parameters for each in message.outputs]
    if any(SHARED_MEMORY in parameters for parameters in parts):
        raise InvalidOption(f"{SHARED_MEMORY}: put the elements in the message; none is shared")
    return Request(
        view,
        message.model_version or None,
        inputs=tuple(_split_inputs(message, _count_elements(view))),
        outputs=tuple(output.name for output in message.outputs),
        parameters=dict(_read_parameters(message.parameters)),
        id=message.id,
    )


def _count_elements(view: View) -> int:
    """The most elements that an input of a model may have."""
    if any(FREE in spec.shape[1:] for spec in view.inputs):  # pixels of an image of any size
        return view.model.limits.max_pixels * 3
    return max(math.prod(spec.shape[1:]) * max(view.batch_limit, 1) for spec in view.inputs)


def _split_inputs(message: pb.ModelInferRequest, most: int) -> Iterator[Offered]:
    """The inputs, with their elements raw or one by one; raises InvalidOption beyond `most` elements."""
    raws = message.raw_input_contents
    if raws and len(raws) != len(message.inputs):
        raise InvalidOption(f"there are {len(message.inputs)} inputs and {len(raws)} raw_input_contents")
    for place, each in enumerate(message.inputs):
        if raws and each.HasField("contents"):
            raise InvalidOption(
                f"input {each.name:.40} has contents beside raw_input_contents: give one of them"
            )
        raw = raws[place] if raws else None
        values = None if raws else _read_elements(each, most)
        yield Offered(each.name, each.datatype, tuple(each.shape), raw, values)


def _read_elements(tensor: pb.ModelInferRequest.InferInputTensor, most: int) -> list[object] | None:
    field = CONTENTS.get(tensor.datatype)
    if field is None:
        return None
    held = getattr(tensor.contents, field)
    if len(held) > most:  # before a list of millions is made of them
        raise InvalidOption(f"input {tensor.name:.40} has {len(held)} elements, at most {most} are taken")
    return list(held)


def _read_parameters(parameters: Mapping[str, pb.InferParameter]) -> Iterator[tuple[str, object]]:
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is None:
            raise InvalidOption(f"parameter {name:.40} has no value")
        yield name, getattr(parameter, choice)
