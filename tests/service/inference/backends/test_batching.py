import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.inference.backends.batching import BatchingBackend
from service.types import BackendInfo, Heads, Pixels
from tests.running import PATIENCE_S


class Counting:
    """Gives every picture its own first value, and notes how many it was given at a time."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        assert self.gate.wait(PATIENCE_S)
        self.counts.append(len(pixels))
        if pixels[0, 0, 0, 0] == 255:
            raise MemoryError("out of the device's memory")
        return {"head": pixels[:, :1, :1, :1].astype(np.float32)}

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return BackendInfo("fake", "1", "fp32", 1, (), ("CUDAExecutionProvider",))

    def close(self) -> None:
        self.gate.clear()


def paint(value: int) -> Pixels:
    return np.full((1, 8, 8, 3), value, np.uint8)


def test_those_who_come_together_are_computed_together_and_get_each_their_own() -> None:
    counting = Counting()
    backend = BatchingBackend(counting, size=4, wait_s=PATIENCE_S)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda value: backend.run(paint(value), crowded=True), range(8)))
    assert counting.counts == [4, 4]
    for value, heads in enumerate(answers):
        assert heads["head"].shape == (1, 1, 1, 1)
        assert heads["head"].item() == value


def test_who_comes_alone_waits_no_longer_than_agreed() -> None:
    counting = Counting()
    backend = BatchingBackend(counting, size=4, wait_s=0.02)
    begun = time.perf_counter()
    assert backend.run(paint(7), crowded=True)["head"].item() == 7
    assert time.perf_counter() - begun >= 0.02
    assert counting.counts == [1]


def test_who_is_in_no_crowd_does_not_wait_at_all() -> None:
    backend = BatchingBackend(Counting(), size=4, wait_s=10 * PATIENCE_S)
    assert backend.run(paint(7))["head"].item() == 7


def test_while_one_batch_is_computed_the_next_one_gathers() -> None:
    counting = Counting()
    counting.gate.clear()
    backend = BatchingBackend(counting, size=2, wait_s=PATIENCE_S)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(backend.run, paint(value), crowded=True) for value in range(4)]
        counting.gate.set()
        assert [each.result()["head"].item() for each in asked] == [0, 1, 2, 3]
    assert counting.counts == [2, 2]


def test_what_fails_for_one_fails_for_all_of_its_batch_and_for_nobody_else() -> None:
    backend = BatchingBackend(Counting(), size=2, wait_s=PATIENCE_S)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(backend.run, paint(255), crowded=True) for _ in range(2)]
        for each in asked:
            with pytest.raises(MemoryError):
                each.result()
        assert [len(heads) for heads in pool.map(lambda v: backend.run(paint(v), crowded=True), (1, 2))] == [
            1,
            1,
        ]


def test_a_batch_of_the_callers_own_goes_through() -> None:
    counting = Counting()
    backend = BatchingBackend(counting, size=2, wait_s=PATIENCE_S)
    assert backend.run(np.concatenate([paint(1), paint(2), paint(3)]), crowded=True)["head"].shape[0] == 3
    assert counting.counts == [3]
    assert backend.describe().in_effect == ("CUDAExecutionProvider",)
    backend.close()
    assert not counting.gate.is_set()
