"""Slots that are processes, and their faults. Every wait is for an event."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.compute.child import Bounds, Template
from service.compute.launch import Launched
from service.compute.loading import Bystander
from service.compute.processes import MOST_DEATHS, ProcessExecutor
from service.compute.template import ForkPlan
from service.compute.timing import Timed
from service.errors import BackendUnavailable, ComputeFailed, DeadlineExceeded, InvalidImage
from service.inference.backends.base import BackendChoice
from service.inference.images import Limits
from service.serving.admission import Admission
from service.serving.tiles import segment_tiles
from service.serving.work import SegmentWork
from service.types import Answer, Instance, Options
from tests.fakes import encode_picture
from tests.running import PATIENCE_S
from tests.service.compute.works import Abort, Fail, Give, Grow, Look, Say, Sleep, Spin, Stop, TryAll

SLOTS = 2
PLAN = ForkPlan(0, "info", "json")
BOUNDS = Bounds(work_s=30, load_s=30, memory_mb=0)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="compute processes are forked")


class Pool:
    """An executor with the admission in front of it."""

    def __init__(self, bounds: Bounds = BOUNDS, memory_mb: int = 0) -> None:
        self.executor = ProcessExecutor(SLOTS, replace(PLAN, memory_mb=memory_mb), bounds)
        self.admission = Admission(SLOTS, 100, executor=self.executor)

    async def __aenter__(self) -> "Pool":
        self.executor.start()
        async with asyncio.timeout(PATIENCE_S):
            await self.executor.begin()
            while len(self.pids) < SLOTS:
                await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.admission.close()
        await asyncio.sleep(0)  # connections are closed in the next round of the loop

    @property
    def pids(self) -> set[int]:
        """The processes of the slots that can work."""
        return {slot.child.pid for slot in self.executor._slots if slot.up and slot.child is not None}

    async def run(self, work: Any) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return await self.admission.run(work)

    async def replaced(self, before: set[int], count: int = 1) -> None:
        """Returns when so many of the processes have been replaced, and all slots can work."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.pids - before) < count or len(self.pids) < SLOTS:
                await asyncio.sleep(0.01)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool() as pool:
        yield pool


async def test_a_work_is_computed_in_a_process_of_its_own(pool: Pool) -> None:
    word, pid, crowded = await pool.run(Say("hello"))
    assert (word, crowded) == ("hello", False)
    assert pid in pool.pids
    assert pid != os.getpid()


async def test_works_are_spread_over_all_processes_and_only_a_lone_one_is_not_crowded(pool: Pool) -> None:
    sleepers = [asyncio.create_task(pool.run(Sleep(0.2))) for _ in range(SLOTS)]
    await asyncio.sleep(0)
    _, _, crowded = await pool.run(Say("behind"))
    assert crowded
    assert set(await asyncio.gather(*sleepers)) == pool.pids


async def test_an_error_of_a_work_reaches_the_caller_and_harms_nothing(pool: Pool) -> None:
    before = pool.pids
    with pytest.raises(RuntimeError, match="KeyError: 'swordfish'"):
        await pool.run(Fail())
    with pytest.raises(Exception, match="pickle"):
        await pool.run(lambda turn: None)  # cannot travel
    assert (await pool.run(Say("on")))[0] == "on"
    assert pool.pids == before


async def test_what_waits_in_a_process_past_its_deadline_is_not_begun(pool: Pool) -> None:
    busy = [asyncio.create_task(pool.run(Sleep(0.5))) for _ in range(SLOTS)]
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceeded):
        await pool.admission.run(Abort(), deadline=asyncio.get_running_loop().time() + 0.05)
    await asyncio.gather(*busy)
    assert (await pool.run(Say("on")))[0] == "on"
    assert pool.executor.deaths == 0


async def test_a_process_that_is_killed_is_replaced_and_its_work_begins_again(pool: Pool) -> None:
    before = pool.pids
    works = [asyncio.create_task(pool.run(Sleep(0.3))) for _ in range(3 * SLOTS)]
    await asyncio.sleep(0.1)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    assert victim not in await asyncio.gather(*works)
    await pool.replaced(before)


@pytest.mark.parametrize("harm", [Abort(), Stop(), Spin(), Grow(3000)])
async def test_a_work_that_ends_two_processes_is_refused_and_others_are_answered(harm: Any) -> None:
    bounds = Bounds(work_s=1.5, load_s=30, memory_mb=2000 if isinstance(harm, Grow) else 0)
    async with Pool(bounds) as pool:
        before = pool.pids
        poisoned = asyncio.create_task(pool.run(harm))
        others = [asyncio.create_task(pool.run(Sleep(0.01))) for _ in range(20)]
        with pytest.raises(ComputeFailed, match="2 processes ended"):
            await poisoned
        assert len(await asyncio.gather(*others)) == 20
        await pool.replaced(before)
        with pytest.raises(InvalidImage, match="not computed again"):
            await pool.run(harm)
        assert pool.executor.deaths == 2
        async with asyncio.timeout(PATIENCE_S):
            await pool.admission.drain()  # the refused work is not waited for


async def test_memory_that_a_work_may_not_have_ends_it(tmp_path: Path) -> None:
    """The limit holds within the process: no look from outside comes too late."""
    async with Pool(memory_mb=1000) as pool:
        assert await pool.run(Grow(100)) == 100_000_000
        with pytest.raises(ComputeFailed):
            await pool.run(Grow(1500))


async def test_a_compute_process_can_neither_write_files_nor_use_the_network(
    pool: Pool, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        succeeded = await pool.run(TryAll(tmp_path, server.getsockname()[1]))
    if has_landlock() >= 4:
        assert succeeded == ()
    assert "write" not in succeeded or not has_landlock()


def has_landlock() -> int:
    """The version of Landlock, or a number below 1 where this kernel has none."""
    import ctypes

    version: int = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return version


async def test_a_compute_process_holds_no_settings_no_connections_and_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BLITZ_API_KEYS", "name:hash")
    async with Pool() as pool:
        with socket.create_server(("127.0.0.1", 0)):
            names, descriptors, threads = await pool.run(Look())
        assert names == ()
        assert descriptors <= 5  # the standard ones, its orders, and the folder that is read to know
        assert threads == 1
        template = psutil.Process(min(pool.pids)).parent()
        assert template is not None
        assert template.num_threads() == 1


async def test_a_template_that_is_killed_is_started_again(pool: Pool) -> None:
    before = pool.pids
    template = psutil.Process(min(before)).parent()
    assert template is not None
    template.kill()
    await pool.replaced(before, count=SLOTS)
    assert (await pool.run(Say("on")))[0] == "on"


async def test_no_work_is_blamed_for_the_end_of_the_template(pool: Pool) -> None:
    works = [asyncio.create_task(pool.run(Sleep(1.5))) for _ in range(SLOTS)]
    for _ in range(MOST_DEATHS):
        async with asyncio.timeout(PATIENCE_S):
            while not pool.executor.busy:
                await asyncio.sleep(0.01)
        before = pool.pids
        pool.executor._template.process.kill()
        await pool.replaced(before, count=SLOTS)
    assert set(await asyncio.gather(*works)) <= pool.pids


async def test_a_template_that_hangs_is_killed_and_counts_as_ended() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    hanging = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    with theirs:
        template = Template(PLAN, lambda pid, status: None, Launched(ours, hanging), patience_s=0.1)
        assert template.alive
        with pytest.raises(ConnectionError, match="did not answer"):
            await template.fork(Bystander())
        assert not template.alive
        assert hanging.wait(PATIENCE_S) == -signal.SIGKILL
        template.close()


async def test_nothing_is_left_when_the_pool_is_closed(pool: Pool) -> None:
    processes = [psutil.Process(pid) for pid in pool.pids]
    spinning = pool.admission.queue(Spin)
    pool.admission.close()
    gone, alive = await asyncio.to_thread(psutil.wait_procs, processes, PATIENCE_S)
    assert len(gone) == SLOTS
    assert not alive
    assert not spinning.done()


async def open_toy(pool: Pool, folder: Path) -> Any:
    opening = asyncio.to_thread(pool.executor.open_model, folder, BackendChoice(threads_alone=2), Limits())
    async with asyncio.timeout(PATIENCE_S):
        return await opening


def count_instances(answer: Answer) -> int:
    return len(answer.segmentation.instances)


def list_instances(answer: Answer) -> tuple[Instance, ...]:
    return answer.segmentation.instances


async def test_a_model_is_opened_everywhere_and_again_where_a_process_is_replaced(
    pool: Pool, toy_folder: Path
) -> None:
    before = pool.pids
    model = await open_toy(pool, toy_folder)
    assert model.card.name == "toy"
    assert model.backend.describe().threads == 2
    work = SegmentWork(model, encode_picture(), Options(), count_instances)
    for _ in range(2):
        answers = await asyncio.gather(*(pool.run(work) for _ in range(2 * SLOTS)))
        assert {summary.model for summary, _ in answers} == {"toy"}
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await pool.replaced(before, count=SLOTS)
        before = pool.pids


async def test_tiles_that_several_processes_compute_give_what_one_computes(
    pool: Pool, toy_folder: Path
) -> None:
    model = await open_toy(pool, toy_folder)
    picture, options = encode_picture(400, 300), Options(0.01, tiles=12)
    work = SegmentWork(model, picture, options, list_instances)
    async with asyncio.timeout(PATIENCE_S):
        _, alone = await pool.admission.run(work)
        summary, together = await segment_tiles(pool.admission, work, deadline=None)
    assert together == alone
    assert summary.instances == len(alone) > 0


async def test_a_process_that_is_replaced_opens_the_model_as_it_was_whatever_became_of_its_folder(
    pool: Pool, toy_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(toy_folder, tmp_path / "toy")
    model = await open_toy(pool, folder)
    shutil.rmtree(folder)
    before = pool.pids
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    await pool.replaced(before, count=SLOTS)
    work = SegmentWork(model, encode_picture(), Options(), count_instances)
    found = await asyncio.gather(*(pool.run(work) for _ in range(2 * SLOTS)))
    assert {summary.model for summary, _ in found} == {"toy"}


async def test_a_model_of_which_another_file_is_faster_is_opened_from_that_file_the_next_time(
    pool: Pool, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = await open_toy(pool, toy_folder)
    assert model.backend.describe().runtime == "onnxruntime"
    timed = (Timed("onnx", "fp32", 9.0), Timed("tflite", "int8", 4.0))
    monkeypatch.setattr("service.compute.loading.TimeWork", lambda *asked: Give(timed))
    assert await pool.executor.find_faster(model)
    model = await open_toy(pool, toy_folder)
    assert (model.backend.describe().runtime, model.backend.describe().precision) == (
        "ai-edge-litert",
        "int8",
    )
    assert not await pool.executor.find_faster(model)


async def test_a_model_that_cannot_be_opened_harms_no_slot(
    pool: Pool, toy_folder: Path, tmp_path: Path
) -> None:
    before = pool.pids
    with pytest.raises(Exception, match=r"card\.json"):
        await open_toy(pool, tmp_path)
    assert pool.pids == before


@pytest.mark.parametrize(("harm", "reason"), [(Abort, "ended"), (Spin, "not opened and tested within")])
async def test_a_model_that_crashes_or_hangs_when_it_is_opened_is_refused(
    harm: Callable[[], Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Pool(replace(BOUNDS, load_s=1)) as pool:
        before = pool.pids
        monkeypatch.setattr("service.compute.loading.OpenWork", lambda *asked: harm())
        with pytest.raises(BackendUnavailable, match=reason):
            await open_toy(pool, Path("toy"))
        assert pool.pids == before
        assert (await pool.run(Say("on")))[0] == "on"
