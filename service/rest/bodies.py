"""The body of a request: read within limits of size, time and memory, and decompressed."""

import asyncio
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar, TypeVarTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.errors import (
    DeadlineExceeded,
    ImageTooLarge,
    InvalidImage,
    Overloaded,
    UnsupportedMedia,
    shorten,
)
from service.rest.problem import TIMEOUT
from service.security.fetching import Fetcher
from service.serving.engine import Engine

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

TOO_SLOW = "TooSlow"  # a reason of blitzmask_rejected
LARGE = 100_000  # bytes from which on the event loop does not parse a body itself
WINDOW = zlib.MAX_WBITS
ENCODINGS = {"gzip": WINDOW | 16, "x-gzip": WINDOW | 16, "deflate": WINDOW}
# One thread: the parsers hold the interpreter's lock, so a second one would only delay the event loop.
PARSER = ThreadPoolExecutor(1, thread_name_prefix="parse")
FETCHERS = ThreadPoolExecutor(4, thread_name_prefix="fetch")  # each holds one picture at most


class BodyBudget:
    """The memory for request bodies, from their first byte to the end of their answers.

    most: bytes of one body. total: bytes of all. Where `total` is passed, the largest body that is still
    arriving is refused: clients that hold back the ends of large bodies do not lock out small ones.
    """

    def __init__(self, most: int, total: int) -> None:
        self.most = most
        self.total = max(most, total)
        self.held = 0
        self._arriving: set[Body] = set()

    def take(self, body: "Body", count: int) -> None:
        """Count bytes of a body; raises Overloaded where this is the body to refuse."""
        body.size += count
        self.held += count
        self._arriving.add(body)
        while self.held > self.total:
            largest = max(self._arriving, key=lambda each: each.size)
            self.release(largest)
            if largest is body:
                raise _no_room()
            largest.evict()

    def arrived(self, body: "Body") -> None:
        """The body is complete: it is refused no more."""
        self._arriving.discard(body)

    def release(self, body: "Body") -> None:
        """The body is no longer needed."""
        self._arriving.discard(body)
        self.held -= body.size
        body.size = 0


class Body:
    """One request's body; a context manager that gives its memory back at the end.

    Raises UnsupportedMedia at once for an unknown Content-Encoding, ImageTooLarge for a declared length.
    """

    def __init__(self, request: Request) -> None:
        self.size = 0
        self._request = request
        self._budget: BodyBudget = request.app.state.bodies
        self._timeout = asyncio.timeout(None)
        self._evicted = False
        self._encoding = request.headers.get("content-encoding", "").strip().lower()
        if self._encoding not in ("", "identity", *ENCODINGS):
            raise UnsupportedMedia(
                f"Content-Encoding {shorten(self._encoding, 40)} is not read here; send gzip or deflate, or "
                "the body as it is"
            )
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._budget.most:
            raise _too_large(self._budget.most)

    def __enter__(self) -> "Body":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._budget.release(self)

    async def read(self, deadline: float) -> bytes:
        """The whole body, decompressed.

        Raises ImageTooLarge, Overloaded, and InvalidImage where it is not what its Content-Encoding says.
        Where it has not arrived by `deadline`, a time of the loop's clock, raises DeadlineExceeded if the
        caller set one, else HTTPException 408.
        """
        body = await self._receive(deadline)
        self._budget.arrived(self)
        if self._encoding not in ENCODINGS:
            return body
        most = self._budget.most
        inflated = await parse(len(body), inflate, body, ENCODINGS[self._encoding], most)
        self._budget.take(self, len(inflated))
        self._budget.arrived(self)
        return inflated

    async def fetch(self, url: str, deadline: float) -> bytes:
        """The bytes behind a URL, which count as those of this body; raises what `Fetcher.fetch` raises."""
        fetcher: Fetcher = self._request.app.state.fetcher
        fetcher.check(url)  # without a thread
        content = await asyncio.get_running_loop().run_in_executor(FETCHERS, fetcher.fetch, url, deadline)
        self._budget.take(self, len(content))
        self._budget.arrived(self)
        return content

    def evict(self) -> None:
        """End the reading of this body with Overloaded."""
        self._evicted = True
        if not self._timeout.expired():  # else its deadline ends it in this round of the loop
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def _receive(self, deadline: float) -> bytes:
        self._timeout = asyncio.timeout_at(deadline)
        try:
            async with self._timeout:
                return await self._collect()
        except TimeoutError as error:
            if self._evicted:
                raise _no_room() from error
            if TIMEOUT in self._request.headers:
                raise DeadlineExceeded("the deadline passed before the body had arrived") from error
            engine: Engine = self._request.app.state.engine
            engine.metrics.rejected(TOO_SLOW)
            raise HTTPException(408, "the body had not arrived when the time for it was over") from error

    async def _collect(self) -> bytes:
        first, rest = b"", bytearray()  # most bodies come in one piece, which needs no copy
        async for chunk in self._request.stream():
            if first:
                rest += chunk
            else:
                first = chunk
            self._budget.take(self, len(chunk))
            if self.size > self._budget.most:
                raise _too_large(self._budget.most)
        return first + rest if rest else first


async def parse(size: int, work: Callable[[*Ts], T], *args: *Ts) -> T:
    """The result of `work`, a module-level function; off the event loop where `size` bytes take long."""
    if size < LARGE:
        return work(*args)
    return await asyncio.get_running_loop().run_in_executor(PARSER, work, *args)


def inflate(body: bytes, window: int, most: int) -> bytes:
    """A gzip or deflate body of at most `most` bytes; raises ImageTooLarge, InvalidImage.

    >>> inflate(zlib.compress(b"image"), ENCODINGS["deflate"], 5)
    b'image'
    """
    if window == WINDOW and not _has_zlib_header(body):
        window = -WINDOW  # many clients send deflate without the header that RFC 9110 asks for
    stream = zlib.decompressobj(window)
    try:
        content = stream.decompress(body, most + 1)
    except zlib.error as error:
        raise InvalidImage("the body is not compressed as its Content-Encoding says") from error
    if len(content) > most:
        raise _too_large(most)
    if not stream.eof or stream.unused_data:
        raise InvalidImage("the compressed body is cut off, or other bytes follow it")
    return content


def _has_zlib_header(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _too_large(most: int) -> ImageTooLarge:
    return ImageTooLarge(f"the body is larger than the {most} bytes this service accepts")


def _no_room() -> Overloaded:
    return Overloaded("the service holds as many bytes of request bodies as it may; come back in a moment")
