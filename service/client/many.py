"""Many images at once: several calls are under way at a time, and the answers come in the images' order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import TypeAlias

from service.client.asking import Image
from service.errors import BlitzError, InvalidOption
from service.types import Segmentation

Outcome: TypeAlias = Segmentation | BlitzError | OSError
"""The answer for an image, or the error that came instead: an OSError where its file cannot be read."""

CONCURRENCY = 4
AHEAD = 2  # images that are asked for or answered and not yet taken, per call under way


class Answers:
    """The outcome for each image, in their order; an iterator that can be used once.

    Where the images have a length, so have the answers: `tqdm(answers)` shows how many are left. An error of
    one image does not stop the others. The answers do not keep their pictures, which may be too many for the
    memory.
    """

    def __init__(
        self, ask: Callable[[Image], Segmentation], images: Iterable[Image], *, concurrency: int
    ) -> None:
        """Raises InvalidOption where `concurrency`, the calls under way at a time, is less than 1."""
        self._images, self._concurrency = images, check_concurrency(concurrency)
        self._outcomes = self._work(ask)

    def __iter__(self) -> Iterator[Outcome]:
        return self._outcomes

    def __next__(self) -> Outcome:
        return next(self._outcomes)

    def __len__(self) -> int:
        return count_images(self._images)

    def _work(self, ask: Callable[[Image], Segmentation]) -> Iterator[Outcome]:
        waiting: deque[Future[Outcome]] = deque()
        images = iter(self._images)
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="segment") as pool:
            try:
                for image in images:
                    waiting.append(pool.submit(_try, ask, image))
                    if len(waiting) >= AHEAD * self._concurrency:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


class AsyncAnswers:
    """The same as `Answers`, for `async for`."""

    def __init__(
        self, ask: Callable[[Image], Awaitable[Segmentation]], images: Iterable[Image], *, concurrency: int
    ) -> None:
        """Raises InvalidOption where `concurrency`, the calls under way at a time, is less than 1."""
        self._images, self._concurrency = images, check_concurrency(concurrency)
        self._outcomes = self._work(ask)

    def __aiter__(self) -> AsyncIterator[Outcome]:
        return self._outcomes

    async def __anext__(self) -> Outcome:
        return await anext(self._outcomes)

    def __len__(self) -> int:
        return count_images(self._images)

    async def _work(self, ask: Callable[[Image], Awaitable[Segmentation]]) -> AsyncIterator[Outcome]:
        free = asyncio.Semaphore(self._concurrency)
        images = iter(self._images)
        waiting: deque[asyncio.Task[Outcome]] = deque()
        try:
            for image in islice(images, AHEAD * self._concurrency):
                waiting.append(asyncio.create_task(_try_async(ask, image, free)))
            while waiting:
                outcome = await waiting.popleft()
                for image in islice(images, 1):
                    waiting.append(asyncio.create_task(_try_async(ask, image, free)))
                yield outcome
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


def check_concurrency(concurrency: int) -> int:
    """The number of calls under way at a time; raises InvalidOption where it is less than 1."""
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidOption(f"concurrency is {concurrency!r}, expected a whole number of at least 1")
    return concurrency


def count_images(images: Iterable[Image]) -> int:
    """The number of images; raises TypeError where nobody knows it before the end."""
    if not isinstance(images, Sized):
        raise TypeError(f"the images are a {type(images).__name__}, which has no length")
    return len(images)


def _try(ask: Callable[[Image], Segmentation], image: Image) -> Outcome:
    try:
        return replace(ask(image), picture=None)
    except (BlitzError, OSError) as error:
        return error


async def _try_async(
    ask: Callable[[Image], Awaitable[Segmentation]], image: Image, free: asyncio.Semaphore
) -> Outcome:
    async with free:
        try:
            return replace(await ask(image), picture=None)
        except (BlitzError, OSError) as error:
            return error
