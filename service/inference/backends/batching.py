"""Batches of images that arrive together, for devices that compute a batch faster, such as GPUs.

On a CPU an image in a batch costs more than one alone, so this module is not used there.
"""

import threading
from concurrent.futures import Future

import numpy as np

from service.inference.backends.base import Backend
from service.types import BackendInfo, Heads, Pixels


class Batch:
    """Images that wait for each other, and for their heads."""

    def __init__(self) -> None:
        self.pixels: list[Pixels] = []
        self.full = threading.Event()
        self.heads: Future[Heads] = Future()


class BatchingBackend:
    """A backend whose callers share its runs: at most `size` images, and the first waits at most `wait_s`.

    The first caller of a batch waits for others and then runs it for all. A call that is not crowded does
    not wait.
    """

    def __init__(self, backend: Backend, *, size: int, wait_s: float) -> None:
        self._backend = backend
        self._size = size
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._open: Batch | None = None

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        if not crowded or len(pixels) > 1:
            return self._backend.run(pixels, crowded=crowded)
        batch, index = self._join(pixels)
        if index == 0:
            self._compute(batch)
        return {name: head[index : index + 1] for name, head in batch.heads.result().items()}

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return self._backend.describe(crowded=crowded)

    def close(self) -> None:
        self._backend.close()

    def _join(self, pixels: Pixels) -> tuple[Batch, int]:
        """The batch that takes the image, and its index in it."""
        with self._lock:
            batch = self._open = self._open or Batch()
            batch.pixels.append(pixels)
            if len(batch.pixels) == self._size:
                self._open = None
                batch.full.set()
            return batch, len(batch.pixels) - 1

    def _compute(self, batch: Batch) -> None:
        batch.full.wait(self._wait_s)
        with self._lock:
            if self._open is batch:
                self._open = None
        try:
            batch.heads.set_result(self._backend.run(np.concatenate(batch.pixels), crowded=True))
        except BaseException as error:
            batch.heads.set_exception(error)
