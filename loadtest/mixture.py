"""What a service meets in a year: pictures of many sizes, and what is no picture or asks for no model."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from loadtest.clients import Answer, Client, Photo, open_client
from loadtest.samples import draw_sample
from loadtest.targets import Target
from service.types import Size

_SIZES = (Size(120, 160), Size(300, 200), Size(480, 640), Size(720, 1280), Size(1080, 1920))
_NO_MODEL = "no-such-model"


def mixed_photos() -> tuple[Photo, ...]:
    """Pictures of all sizes."""
    return tuple(Photo(f"{size.width}.jpg", "image/jpeg", draw_sample(size)) for size in _SIZES)


def with_broken(photos: tuple[Photo, ...]) -> tuple[Photo, ...]:
    """The photos twice, and after them what cannot be read: cut off, empty, of another type.

    >>> photo = Photo("a.jpg", "image/jpeg", b"whole")
    >>> [each.name for each in with_broken((photo,))]
    ['a.jpg', 'a.jpg', 'cut.jpg', 'empty.png', 'words.txt']
    """
    whole = photos[0].data
    broken = (
        Photo("cut.jpg", "image/jpeg", whole[: len(whole) // 2]),
        Photo("empty.png", "image/png", b""),
        Photo("words.txt", "text/plain", b"no picture"),
    )
    return (*photos, *photos, *broken)


class Stray:
    """A client of whose requests one in ten asks for a model that does not exist."""

    def __init__(self, target: Target) -> None:
        self._usual = open_client(target)
        self._lost = open_client(replace(target, ask=replace(target.ask, model=_NO_MODEL)))
        self._sent = 0

    async def send(self, photo: Photo) -> Answer:
        self._sent += 1
        return await (self._lost if self._sent % 10 == 0 else self._usual).send(photo)

    async def close(self) -> None:
        await self._usual.close()
        await self._lost.close()


@asynccontextmanager
async def stray_clients(target: Target, count: int) -> AsyncIterator[Sequence[Client]]:
    """So many of them."""
    clients = [Stray(target) for _ in range(count)]
    try:
        yield clients
    finally:
        for client in clients:
            await client.close()
