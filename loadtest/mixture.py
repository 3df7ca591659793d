"""What a service meets in a year: pictures of many sizes for all its models, and what is wrong."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import cycle

from loadtest.catalog import list_models
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
    """A client that asks all of these models in turn, and in every tenth request one that does not exist."""

    def __init__(self, target: Target, models: Sequence[str]) -> None:
        self._clients = [open_client(_aim(target, model)) for model in (_NO_MODEL, *models)]
        self._known = cycle(self._clients[1:])
        self._sent = 0

    async def send(self, photo: Photo) -> Answer:
        self._sent += 1
        client = self._clients[0] if self._sent % 10 == 0 else next(self._known)
        return await client.send(photo)

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self._clients))


@asynccontextmanager
async def stray_clients(target: Target, count: int) -> AsyncIterator[Sequence[Client]]:
    """So many of them, for the model that is asked for, or else all that are listed; raises CannotRun."""
    models = (target.ask.model,) if target.ask.model else await list_models(target)
    clients = [Stray(target, models) for _ in range(count)]
    try:
        yield clients
    finally:
        await asyncio.gather(*(client.close() for client in clients))


def _aim(target: Target, model: str) -> Target:
    return replace(target, ask=replace(target.ask, model=model))
