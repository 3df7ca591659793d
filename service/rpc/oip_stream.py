"""ModelStreamInfer: one call, many requests, answered in their order."""

import asyncio
import time

from service.errors import NotReady
from service.oip.inference import infer
from service.rpc.boundary import CALLER, Context, begin_answer
from service.rpc.convert import error_to_status
from service.rpc.generated import grpc_predict_v2_pb2 as pb
from service.rpc.oip_convert import reply_to_proto, request_from_proto
from service.rpc.registry import check_read
from service.security.rules import Rules
from service.serving.engine import Engine
from service.serving.streaming import unless_stopped
from service.telemetry.request_log import Access

REQUEST = "ModelStreamInfer/request"
FINAL = "triton_final_response"
ASK_FINAL = "triton_enable_empty_final_response"  # says that the client heeds FINAL, which is always there

Answers = asyncio.Queue["asyncio.Task[pb.ModelStreamInferResponse] | None"]


class InferenceStream:
    """One call; as many requests as there are slots, and one more, are worked on at a time."""

    def __init__(self, engine: Engine, context: Context, rules: Rules) -> None:
        self._engine = engine
        self._idle_s = rules.idle_s
        self._caller = CALLER.get()
        self._context = context
        self._room = asyncio.Semaphore(engine.admission.slots + 1)

    async def answer(self, access: Access) -> None:
        """Answer until the client has no more requests.

        Raises Overloaded where too many streams are open, NotReady once the service stops.
        """
        with self._engine.count_stream():
            await begin_answer(self._context)
            try:
                async with asyncio.TaskGroup() as group:
                    answers: Answers = asyncio.Queue()
                    group.create_task(self._write(answers))
                    await self._read(group, answers, access)
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        if self._engine.stopping.is_set():
            raise NotReady("the service is stopping; all requests read so far are answered")

    async def _read(self, group: asyncio.TaskGroup, answers: Answers, access: Access) -> None:
        stopping = self._engine.stopping
        while not stopping.is_set():
            await self._room.acquire()
            request = await unless_stopped(self._receive(), stopping, within_s=self._idle_s)
            if request is None:
                break
            answers.put_nowait(group.create_task(self._answer(request, access)))
        answers.put_nowait(None)

    async def _write(self, answers: Answers) -> None:
        while (task := await answers.get()) is not None:
            await self._context.write(await task)
            self._room.release()

    async def _receive(self) -> pb.ModelInferRequest | None:
        message = check_read(await self._context.read())
        return message if isinstance(message, pb.ModelInferRequest) else None

    async def _answer(self, message: pb.ModelInferRequest, stream: Access) -> pb.ModelStreamInferResponse:
        """The answer to one request, which may be an error."""
        about: dict[str, object] = {"method": REQUEST, "model": message.model_name}
        access = Access("grpc", stream.request_id, key=stream.key, about=about, started=time.perf_counter())
        try:
            if self._caller is not None:
                self._caller.charge()
            message.parameters.pop(ASK_FINAL, None)
            request = request_from_proto(message, self._engine.catalog)
            deadline = self._engine.deadline(None)
            _, response = await infer(
                self._engine, request, deadline=deadline, access=access, render=reply_to_proto
            )
            response.parameters[FINAL].bool_param = True
            return pb.ModelStreamInferResponse(infer_response=response)
        except Exception as error:
            access.failed(error)
            _, text = error_to_status(error)
            return pb.ModelStreamInferResponse(
                error_message=text, infer_response=pb.ModelInferResponse(id=message.id)
            )
        finally:
            access.write(self._engine.metrics, REQUEST, quiet=True)
