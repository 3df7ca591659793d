"""Several workers behind two ports, as processes: killed, stopped, orphaned."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.errors import InvalidSetting
from service.process.workers import _reserve_port, run_workers
from service.settings import Settings
from tests.load import under_load, wait_for
from tests.running import PATIENCE_S, ROOT, RunningServer, running_server

LOST = {"ReadError", "RemoteProtocolError", "ConnectError"}


@pytest.fixture
def models_dir(write_toy: Any, toy_files: Any, tmp_path: Path) -> Path:
    only = {("onnx", "fp32"): toy_files["onnx", "fp32"]}
    folder: Path = write_toy(tmp_path / "models" / "toy", files=only)
    return folder.parent


@pytest.fixture
def server(models_dir: Path) -> Iterator[RunningServer]:
    """Two workers, both of them ready."""
    with running_server(BLITZ_WORKERS="2", BLITZ_MODELS_DIR=str(models_dir)) as server:
        wait_for(lambda: has_two_ready(server))
        yield server


def find_workers(server: RunningServer) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children()


def read_metric(server: RunningServer, name: str, **labels: str) -> float:
    """The only sample of that name and those labels, among others; NaN where there is none."""
    text = httpx.get(f"http://127.0.0.1:{server.http_port}/metrics", timeout=PATIENCE_S).text
    values = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(values) < 2
    return values[0] if values else float("nan")


def has_two_ready(server: RunningServer) -> bool:
    return read_metric(server, "blitzmask_slots") == 2 and read_metric(server, "blitzmask_ready") == 1


def count_answers(server: RunningServer) -> float:
    return read_metric(server, "blitzmask_requests_total", method="POST /v1/segment", outcome="ok")


def test_a_killed_worker_comes_back_while_the_other_answers_and_counts_go_on(
    server: RunningServer,
) -> None:
    first, second = find_workers(server)
    with under_load(server) as answers:
        wait_for(lambda: answers["200"] > 30)
        counted = count_answers(server)
        first.kill()
        wait_for(lambda: first not in find_workers(server))
        assert count_answers(server) >= counted
        answered = answers["200"]
        wait_for(lambda: len(find_workers(server)) == 2 and answers["200"] > answered + 30)
    assert second in find_workers(server)
    lost = sum(answers[fate] for fate in LOST)
    assert set(answers) <= {"200", "toy 1", *LOST}
    assert lost <= 6  # what the killed one had, and what the kernel had given to it
    # The killed one may have counted some that it had not published yet.
    wait_for(lambda: count_answers(server) >= counted + answers["200"] - answered)
    assert count_answers(server) <= answers["200"] + lost
    wait_for(lambda: read_metric(server, "blitzmask_slots") == 2)


def count_connections(worker: psutil.Process, port: int) -> int:
    """The connections to a port that a worker has accepted and not closed."""
    found = worker.net_connections("tcp")
    return sum(each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED for each in found)


def test_connections_of_http_are_dealt_to_the_workers_in_turn(server: RunningServer) -> None:
    workers, port = find_workers(server), server.http_port
    wait_for(lambda: not any(count_connections(worker, port) for worker in workers))
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        wait_for(lambda: sum(count_connections(worker, port) for worker in workers) == 4)
        assert [count_connections(worker, port) for worker in workers] == [2, 2]


def test_a_signal_to_the_parent_stops_all_and_loses_nothing(server: RunningServer) -> None:
    workers = find_workers(server)
    with under_load(server) as answers:
        wait_for(lambda: answers["200"] > 30)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
    assert set(answers) <= {"200", "toy 1", "ConnectError"}
    assert not any(worker.is_running() for worker in workers)


def test_a_second_signal_does_not_wait_for_who_hangs(server: RunningServer) -> None:
    workers = find_workers(server)
    workers[0].suspend()
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not workers[1].is_running())
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(PATIENCE_S) == 1
    assert not workers[0].is_running()


def test_workers_go_when_their_parent_is_killed(server: RunningServer) -> None:
    workers = find_workers(server)
    server.process.kill()
    server.process.wait()
    _, alive = psutil.wait_procs(workers, PATIENCE_S)
    assert alive == []


def test_a_port_that_somebody_has_is_refused_before_any_worker_starts() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidSetting, match=f"BLITZ_GRPC_PORT={port}: cannot listen .* in use"):
            run_workers(Settings(workers=2, http_port=0, grpc_port=port))


def test_a_port_is_taken_over_at_once_from_a_single_process_that_has_just_left_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as left:
        address = left.getsockname()
        with socket.create_connection(address) as client:
            accepted, _ = left.accept()
            accepted.close()  # first, so that this end lingers
            client.recv(1)
    with _reserve_port("127.0.0.1", address[1]) as port:
        assert port == address[1]


def test_a_parent_has_loaded_nothing_that_a_worker_must_not_inherit() -> None:
    heavy = {"grpc", "uvloop", "prometheus_client"}
    loaded = f"import sys, service.process.workers; print({heavy} & set(sys.modules))"
    program = [sys.executable, "-c", loaded]
    printed = subprocess.run(program, cwd=ROOT, env=dict(os.environ), capture_output=True, check=True).stdout
    assert printed == b"set()\n"


def test_workers_need_no_folder_for_temporary_files(models_dir: Path, tmp_path: Path) -> None:
    """Files of metrics in it, on a disk that is full or emptied, would kill workers."""
    own = tmp_path / "own"
    own.mkdir()
    with running_server(BLITZ_WORKERS="2", BLITZ_MODELS_DIR=str(models_dir), TMPDIR=str(own)) as server:
        wait_for(lambda: has_two_ready(server))
        assert list(own.iterdir()) == []
