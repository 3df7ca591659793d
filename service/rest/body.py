"""A request's body, refused as early as can be: by its declared length, and while it arrives."""

import asyncio

from starlette.requests import Request

from service.errors import DeadlineExceeded, ImageTooLarge


class Body:
    """One request's body of at most `max_bytes`; raises ImageTooLarge at once where it declares more."""

    def __init__(self, request: Request, *, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > max_bytes:
            raise self._too_large()

    async def read(self, deadline: float) -> bytes:
        """All of it; raises ImageTooLarge, DeadlineExceeded."""
        try:
            async with asyncio.timeout_at(deadline):
                return await self._collect()
        except TimeoutError as error:
            raise DeadlineExceeded("the deadline passed before the body had arrived") from error

    async def _collect(self) -> bytes:
        first, rest = b"", bytearray()  # most bodies come in one piece, which needs no copy
        async for chunk in self._request.stream():
            if first:
                rest += chunk
            else:
                first = chunk
            if len(first) + len(rest) > self._max_bytes:
                raise self._too_large()
        return first + rest if rest else first

    def _too_large(self) -> ImageTooLarge:
        return ImageTooLarge(f"the body is larger than the {self._max_bytes} bytes this service accepts")
