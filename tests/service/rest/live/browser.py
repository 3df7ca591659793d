"""The browser's side of a live stream, without a network: it stands in for the server."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import orjson
from starlette.types import Message, Scope

from service.inference.documents import Json
from service.rest.app import App
from tests.fakes import encode_picture
from tests.running import PATIENCE_S

MAX_BODY = 100_000
PICTURE = encode_picture()

Said = bytes | str | Mapping[str, object]


class Browser:
    """One connection; `reading`: the browser reads the messages that it is sent."""

    def __init__(self, app: App, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._received: asyncio.Queue[Message] = asyncio.Queue()
        self._gone = False
        self.reading = asyncio.Event()
        self.reading.set()
        self.taken = 0
        scope: Scope = {
            "type": "websocket",
            "asgi": {"spec_version": "2.4"},
            "path": "/v1/live",
            "root_path": "",
            "query_string": b"",
            "headers": list(headers),
            "subprotocols": [],
        }
        self._sent.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        message = await self._sent.get()
        self.taken += "bytes" in message
        return message

    async def _send(self, message: Message) -> None:
        await self.reading.wait()
        if self._gone:
            raise OSError("the browser is gone")  # as uvicorn does
        self._received.put_nowait(message)

    def send(self, *messages: Said) -> None:
        for message in messages:
            kind = "bytes" if isinstance(message, bytes) else "text"
            text = message if isinstance(message, bytes | str) else orjson.dumps(message).decode()
            self._sent.put_nowait({"type": "websocket.receive", kind: text})

    def hang_up(self) -> None:
        self._gone = True
        self.reading.set()
        self._sent.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def receive(self) -> Message:
        async with asyncio.timeout(PATIENCE_S):
            return await self._received.get()

    async def opened(self) -> None:
        assert (await self.receive())["type"] == "websocket.accept"

    async def answer(self) -> Json:
        message = await self.receive()
        assert message["type"] == "websocket.send", message
        content: Json = orjson.loads(message["text"])
        return content

    async def closed(self) -> tuple[int, str]:
        message = await self.receive()
        assert message["type"] == "websocket.close", message
        async with asyncio.timeout(PATIENCE_S):
            await self.task
        return message["code"], message.get("reason") or ""


Connect = Callable[[], Browser]


class Before:
    """The model's actions before each of the next pictures."""

    def __init__(self) -> None:
        self._next: deque[Callable[[], object]] = deque()

    def __call__(self) -> None:
        if self._next:
            self._next.popleft()()

    def then(self, action: Callable[[], object]) -> None:
        self._next.append(action)


async def open_stream(connect: Connect, *messages: Said) -> Browser:
    browser = connect()
    browser.send(*messages)
    await browser.opened()
    return browser


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0)
