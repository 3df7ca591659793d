"""The in-process baseline: the same photos through the service's Segmenter on all cores, without a server.

It runs in its own processes, so that neither the model's memory nor Python's lock slows the load generator.
"""

import asyncio
import multiprocessing
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast, get_args

import numpy as np

from loadtest.measurement.server_info import Served
from loadtest.measurement.statistics import percentile
from loadtest.types import CannotRun, Photo, Target
from service.errors import BlitzError, InvalidCard
from service.inference.backends.base import BackendChoice, PrecisionChoice, RuntimeChoice
from service.inference.card import read_card
from service.inference.segmenter import Segmenter, open_model
from service.process.limits import usable_cores
from service.types import Options

BaselineKind = Literal["processes", "threads", "alone", "none"]

_OPEN_SECONDS = 120
_RUNTIMES: Mapping[str, RuntimeChoice] = MappingProxyType(
    {"onnx": "onnx", "litert": "tflite", "tflite": "tflite", "openvino": "openvino"}
)


@dataclass(frozen=True, slots=True)
class BaselinePlan:
    """The work of `processes` processes, each with `choice.slots` threads."""

    folder: Path
    choice: BackendChoice
    options: Options
    photos: tuple[bytes, ...]
    processes: int = 1


@dataclass(frozen=True, slots=True)
class BaselineRun:
    """Photos per second of all threads together, and the median milliseconds of one photo."""

    rate: float
    p50_ms: float


class Baseline:
    """Opened models that can be measured again and again."""

    def __init__(self, plan: BaselinePlan) -> None:
        """Raises CannotRun when the model does not open."""
        self._workers = [_start_worker(plan) for _ in range(plan.processes)]
        try:
            for _, connection in self._workers:
                _receive_ready(connection)
        except CannotRun:
            self.close()
            raise

    async def measure(self, seconds: float) -> BaselineRun | None:
        """The speed during the next `seconds`; None when a worker died."""
        try:
            return await asyncio.to_thread(self._measure, seconds)
        except (EOFError, OSError):
            return None

    def close(self) -> None:
        for process, connection in self._workers:
            connection.close()
            process.join(timeout=5)
            process.kill()

    def _measure(self, seconds: float) -> BaselineRun:
        for _, connection in self._workers:
            connection.send(seconds)
        runs: list[BaselineRun] = [connection.recv() for _, connection in self._workers]
        return BaselineRun(
            rate=sum(run.rate for run in runs), p50_ms=float(np.median([run.p50_ms for run in runs]))
        )


def plan_baseline(
    kind: BaselineKind, models_dir: Path, *, served: Served, target: Target, photos: tuple[Photo, ...]
) -> BaselinePlan:
    """The server's model, options and photos on all cores, with one inference thread each.

    "alone" runs one image at a time, with all cores for it.

    Raises CannotRun when the server runs elsewhere or its model is not in `models_dir`.
    """
    if not target.is_local:
        raise CannotRun(f"{target} runs on another machine, and this one cannot measure its baseline")
    cores = usable_cores()
    slots, threads = {"threads": (cores, 1), "alone": (1, cores)}.get(kind, (1, 1))
    return BaselinePlan(
        folder=find_model(models_dir, served),
        choice=replace(fit_choice(served), slots=slots, threads=threads),
        options=target.ask.options,
        photos=tuple(photo.data for photo in photos),
        processes=cores if kind == "processes" else 1,
    )


def find_model(models_dir: Path, served: Served) -> Path:
    """The folder of the server's model; raises CannotRun when there is none."""
    for path in sorted(models_dir.glob("*/card.json")):
        try:
            card = read_card(path.parent)
        except InvalidCard:
            continue
        if (card.name, card.version) == (served.model, served.version):
            return path.parent
    raise CannotRun(
        f"the server answers with model {served.model} {served.version}, which is not in {models_dir}; "
        "pass the server's model folder as --models"
    )


def fit_choice(served: Served) -> BackendChoice:
    """The server's runtime, precision and accelerators; this machine's defaults when the server names none.

    Raises CannotRun when the runtime is unknown here.
    """
    if served.runtime is None and served.model is not None:
        return BackendChoice()
    runtime = next((ours for word, ours in _RUNTIMES.items() if word in (served.runtime or "")), None)
    if runtime is None or served.precision not in get_args(PrecisionChoice):
        raise CannotRun(
            f"the server computes with {served.runtime} {served.precision}, which is unknown here"
        )
    delegates = tuple(name for name in served.in_effect if name != "CPU")
    return BackendChoice(
        runtime=runtime,
        precision=cast(PrecisionChoice, served.precision),
        providers=served.in_effect if runtime in ("onnx", "openvino") else (),
        delegates=delegates if runtime == "tflite" else (),
    )


def run_threads(segmenter: Segmenter, plan: BaselinePlan, *, seconds: float) -> BaselineRun:
    """The speed of as many threads as the backend has slots; each takes the photos in turn."""
    times: list[list[float]] = [[] for _ in range(plan.choice.slots)]
    threads = [
        threading.Thread(target=_segment_in_turn, args=(segmenter, plan, seconds, column)) for column in times
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return BaselineRun(
        rate=sum(len(column) / sum(column) for column in times),
        p50_ms=percentile(np.concatenate([np.array(column) for column in times]), 50) * 1e3,
    )


def _segment_in_turn(segmenter: Segmenter, plan: BaselinePlan, seconds: float, times: list[float]) -> None:
    """Appends the seconds of each photo, at least of one."""
    started = last = time.perf_counter()
    while not times or last - started < seconds:
        segmenter.segment(plan.photos[len(times) % len(plan.photos)], plan.options)
        now = time.perf_counter()
        times.append(now - last)
        last = now


def _start_worker(plan: BaselinePlan) -> tuple[SpawnProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, plan), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _receive_ready(connection: Connection) -> None:
    if not connection.poll(_OPEN_SECONDS):
        raise CannotRun(f"the baseline's model did not open within {_OPEN_SECONDS} s")
    try:
        problem = connection.recv()
    except EOFError:
        problem = "its process died"
    if problem:
        raise CannotRun(f"the baseline's model does not open: {problem}")


def _work(connection: Connection, plan: BaselinePlan) -> None:
    """Opens the model, reports that, then measures on request until the other side closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the load generator handles Ctrl-C
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
