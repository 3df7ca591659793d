"""The floor: the same photos through the service's Segmenter in this machine's cores, without any server.

It runs in processes of its own, so that neither the model's memory nor Python's lock touches the generator.
"""

import asyncio
import multiprocessing
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np

from loadtest.errors import CannotRun
from loadtest.latencies import percentile
from service.errors import BlitzError
from service.inference.backends import BackendChoice
from service.inference.segmenter import Segmenter, open_model
from service.types import Options

_OPEN_SECONDS = 120


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """The work of the floor: `processes` of them, each with `choice.slots` threads at work."""

    folder: Path
    choice: BackendChoice
    options: Options
    photos: tuple[bytes, ...]
    processes: int = 1


@dataclass(frozen=True, slots=True)
class FloorRun:
    """Photos segmented per second by all threads together, and the median milliseconds of one."""

    rate: float
    p50_ms: float


class Floor:
    """Opened models that wait to be measured; the same ones every time."""

    def __init__(self, plan: FloorPlan) -> None:
        """Raises CannotRun when the model does not open."""
        self._workers = [_start_worker(plan) for _ in range(plan.processes)]
        try:
            for _, connection in self._workers:
                _receive_ready(connection)
        except CannotRun:
            self.close()
            raise

    async def measure(self, seconds: float) -> FloorRun | None:
        """The floor, now, for about so long; None when a worker died."""
        try:
            return await asyncio.to_thread(self._measure, seconds)
        except (EOFError, OSError):
            return None

    def close(self) -> None:
        for process, connection in self._workers:
            connection.close()
            process.join(timeout=5)
            process.kill()

    def _measure(self, seconds: float) -> FloorRun:
        for _, connection in self._workers:
            connection.send(seconds)
        runs: list[FloorRun] = [connection.recv() for _, connection in self._workers]
        return FloorRun(
            rate=sum(run.rate for run in runs), p50_ms=float(np.median([run.p50_ms for run in runs]))
        )


def run_threads(segmenter: Segmenter, plan: FloorPlan, *, seconds: float) -> FloorRun:
    """The plan's photos in turn by as many threads as the backend has slots."""
    times: list[list[float]] = [[] for _ in range(plan.choice.slots)]
    threads = [
        threading.Thread(target=_segment_in_turn, args=(segmenter, plan, seconds, column)) for column in times
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return FloorRun(
        rate=sum(len(column) / sum(column) for column in times),
        p50_ms=percentile(np.concatenate([np.array(column) for column in times]), 50) * 1e3,
    )


def _segment_in_turn(segmenter: Segmenter, plan: FloorPlan, seconds: float, times: list[float]) -> None:
    """At least one photo, however short the time."""
    started = last = time.perf_counter()
    while not times or last - started < seconds:
        segmenter.segment(plan.photos[len(times) % len(plan.photos)], plan.options)
        now = time.perf_counter()
        times.append(now - last)
        last = now


def _start_worker(plan: FloorPlan) -> tuple[SpawnProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, plan), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _receive_ready(connection: Connection) -> None:
    if not connection.poll(_OPEN_SECONDS):
        raise CannotRun(f"the floor's model did not open within {_OPEN_SECONDS} s")
    try:
        problem = connection.recv()
    except EOFError:
        problem = "its process died"
    if problem:
        raise CannotRun(f"the floor's model does not open: {problem}")


def _work(connection: Connection, plan: FloorPlan) -> None:
    """A worker's life: open, say so, then measure whenever asked until the other side hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the generator's to handle
    try:
        segmenter = open_model(plan.folder, plan.choice)
    except BlitzError as error:
        connection.send(str(error))
        return
    connection.send("")
    try:
        while True:
            connection.send(run_threads(segmenter, plan, seconds=connection.recv()))
    except EOFError:
        segmenter.close()
