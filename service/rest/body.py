"""A request's body, refused as early as can be: by its encoding, its declared length, and as it arrives."""

import asyncio

from starlette.requests import Request

from service.errors import DeadlineExceeded, ImageTooLarge, UnsupportedMedia


class Body:
    """One request's body of at most `max_bytes`.

    Raises UnsupportedMedia at once where it is compressed, ImageTooLarge where it declares more.
    """

    def __init__(self, request: Request, *, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise UnsupportedMedia(
                f"Content-Encoding {encoding[:40]} is not read here; send the body as it is"
            )
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
