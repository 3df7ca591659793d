"""Everything that a command needs to measure one server: its photos, its baseline, and the end of a run."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from loadtest.generators.recorder import Recorder, Window
from loadtest.measurement.baseline import Baseline, BaselineKind, BaselineRun, plan_baseline
from loadtest.measurement.fake_server import NullServer
from loadtest.measurement.host_stats import HostMonitor, find_servers
from loadtest.measurement.load_run import Drive, Limits, LoadRun, Progress
from loadtest.measurement.row import Load, Row, Slice, compare_with_baseline
from loadtest.measurement.server_info import Served, probe, scrape, subtract
from loadtest.types import CannotRun, Photo, Target

Replay: TypeAlias = Callable[[Target, Window, Recorder], Coroutine[None, None, None]]

_BASELINE_S = 3.0  # at most, and half of the load next to it
_FRESH_S = 2.0
_SLICE_S, _MAX_SLICES = 1.0, 12
_LEAD_S = 0.25  # from the start of a slice until it counts: by then the server is full
_REPLAY_S, _REPLAY_LEAD_S = 0.5, 0.2


@dataclass(frozen=True, slots=True)
class Setup:
    """The operator's choices.

    warmup: seconds before each load; requests: at most in one load; metrics: URL of a Prometheus page.
    server_pid: the server's first process; None: the one on the port.
    """

    target: Target
    photos: tuple[Photo, ...]
    models_dir: Path
    baseline: BaselineKind = "processes"
    warmup: float = 1.0
    requests: int = 1_000_000
    metrics: str | None = None
    server_pid: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """The terminal that a run reports to, and the event that ends it early."""

    progress: Progress
    stop: asyncio.Event


class Harness:
    """Measures loads on one server that answers; `answers` are its answers to the first photos."""

    def __init__(self, setup: Setup, stage: Stage, *, served: Served, answers: tuple[bytes, ...]) -> None:
        self.setup = setup
        self.served = served
        self.answers = answers
        self.stop = stage.stop
        self.notes: list[str] = []
        self.server_pids = _find_pids(setup)
        self._progress = stage.progress
        self._baseline: Baseline | None = None
        self._null_server: NullServer | None = None
        self._last_baseline: tuple[float, BaselineRun] | None = None  # with the time of its end

    async def measure(self, load: Load, drive: Drive, *, seconds: float, replay: Replay | None = None) -> Row:
        """The row of a load between two measurements of the baseline.

        With `replay`, which drives the same load on another target, the load takes turns with the baseline,
        and the cost of its clients is measured.
        """
        limits = Limits(self.setup.warmup, self.setup.requests, self.stop)
        monitor = HostMonitor(self.server_pids)
        run = LoadRun(load, drive, limits=limits, monitor=monitor, progress=self._progress)
        counted = await self._scrape()
        await run.warm_up()
        slices, baselines = await self._take_turns(run, seconds, sliced=replay is not None)
        row = replace(run.sum_up(), metrics=subtract(counted, await self._scrape()))
        client_ms = await self._measure_clients(row, run.counted, replay) if replay and baselines else None
        return replace(row, baseline=compare_with_baseline(slices, baselines, client_ms=client_ms))

    async def open_baseline(self) -> None:
        """Opens the baseline's model, or notes the reason why there is no baseline."""
        kind, target = self.setup.baseline, self.setup.target
        if kind == "none":
            return
        try:
            plan = plan_baseline(
                kind, self.setup.models_dir, served=self.served, target=target, photos=self.setup.photos
            )
            self._progress.note("opening the model for the in-process baseline")
            self._baseline = await asyncio.to_thread(Baseline, plan)
            if kind != "alone" and not target.secure:
                self._null_server = await asyncio.to_thread(NullServer, self.answers[0])
        except CannotRun as error:
            self.notes.append(f"no baseline: {error}")

    def close(self) -> None:
        if self._baseline:
            self._baseline.close()
        if self._null_server:
            self._null_server.close()

    async def _take_turns(
        self, run: LoadRun, seconds: float, *, sliced: bool
    ) -> tuple[list[Slice], list[BaselineRun]]:
        """Slices of the load, and the baselines before, between and after them."""
        count = count_slices(seconds) if sliced and self._baseline else 1
        slices, baselines = (
            list[Slice](),
            [self._fresh_baseline() or await self._measure_baseline(seconds / count)],
        )
        while len(slices) < count and not (slices and self.stop.is_set()):
            slices.append(await run.measure(seconds / count, lead=_LEAD_S if count > 1 else 0.0))
            baselines.append(await self._measure_baseline(seconds / count))
        return slices, [known for known in baselines if known]

    async def _measure_clients(self, row: Row, sent: int, replay: Replay) -> float | None:
        """CPU milliseconds that the clients spend on an answer, without a server that slows them.

        Never more than this process spent during the run.
        """
        if self._null_server is None or not row.answered or self.stop.is_set():
            return None
        window = Window(_REPLAY_S, lead=_REPLAY_LEAD_S, stop=self.stop)
        target, recorder = self._null_server.redirect(self.setup.target), Recorder()
        replaying = asyncio.create_task(replay(target, window, recorder))
        await asyncio.sleep(_REPLAY_LEAD_S)  # in which all clients connect
        spent, before = time.process_time(), window.sent
        await replaying
        if recorder.failed or not recorder.answered:
            return None
        per_request = 1e3 * (time.process_time() - spent) / max(1, window.sent - before)
        during_run = 1e3 * row.host.generator * row.host.seconds / row.answered
        return min(per_request * sent / row.answered, during_run)

    async def _scrape(self) -> dict[str, float]:
        setup = self.setup
        return await scrape(setup.metrics, setup.target.credentials) if setup.metrics else {}

    def _fresh_baseline(self) -> BaselineRun | None:
        """The last baseline, if it ended just now."""
        if self._last_baseline is None or time.perf_counter() - self._last_baseline[0] > _FRESH_S:
            return None
        return self._last_baseline[1]

    async def _measure_baseline(self, seconds: float) -> BaselineRun | None:
        if self._baseline is None:
            return None
        if self.stop.is_set():
            return self._last_baseline[1] if self._last_baseline else None
        self._progress.note("measuring the in-process baseline")
        run = await self._baseline.measure(min(_BASELINE_S, seconds / 2))
        if run is None:
            self.notes.append("no baseline any more: its process died")
            self._baseline = None
            return None
        self._last_baseline = (time.perf_counter(), run)
        return run


def _find_pids(setup: Setup) -> tuple[int, ...]:
    if setup.server_pid is not None:
        return (setup.server_pid,)
    return find_servers(setup.target.port) if setup.target.is_local else ()


def count_slices(seconds: float) -> int:
    """The number of slices of about a second, or of longer ones when there would be too many.

    >>> count_slices(0.3), count_slices(6), count_slices(60)
    (1, 6, 12)
    """
    return min(_MAX_SLICES, max(1, round(seconds / _SLICE_S)))


@contextlib.asynccontextmanager
async def open_harness(setup: Setup, stage: Stage) -> AsyncIterator[Harness]:
    """A harness for the server; raises CannotRun when the server does not segment the photos."""
    served, answers = await probe(setup.target, setup.photos)
    harness = Harness(setup, stage, served=served, answers=answers)
    try:
        await harness.open_baseline()
        yield harness
    finally:
        harness.close()
