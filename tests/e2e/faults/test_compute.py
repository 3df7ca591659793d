"""Compute processes fail: they are killed, stopped, run out of memory, and lose their parent."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import psutil
import pytest

from tests.load import under_load, wait_for
from tests.running import PATIENCE_S, RunningServer, running_server

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="compute processes are forked")


@pytest.fixture
def server(models_dir: Path) -> Iterator[RunningServer]:
    """A server with two compute processes."""
    with running_server(BLITZ_SLOTS="2", BLITZ_MODELS_DIR=str(models_dir)) as server:
        wait_for(lambda: len(find_computers(server)) == 2)
        yield server


def find_computers(server: RunningServer) -> list[psutil.Process]:
    """The compute processes: the children of the template, which is the only child of the server."""
    (template,) = psutil.Process(server.process.pid).children()
    return template.children()


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV])
def test_a_compute_process_that_fails_again_and_again_costs_no_answer(
    server: RunningServer, harm: signal.Signals
) -> None:
    with under_load(server) as answers:
        for _ in range(4):
            victim = find_computers(server)[0]
            victim.send_signal(harm)
            victim.wait(PATIENCE_S)
            answered = answers["200"]
            wait_for(lambda least=answered + 20: answers["200"] > least)  # type: ignore[misc]
    assert set(answers) == {"200", "toy 1"}
    wait_for(lambda: len(find_computers(server)) == 2)


def test_a_template_that_is_killed_costs_no_answer(server: RunningServer) -> None:
    """All compute processes end with it."""
    with under_load(server) as answers:
        for _ in range(2):
            psutil.Process(server.process.pid).children()[0].kill()
            answered = answers["200"]
            wait_for(lambda least=answered + 20: answers["200"] > least)  # type: ignore[misc]
    broken = {what: count for what, count in answers.items() if what not in ("200", "toy 1", "503")}
    assert not broken


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_the_server(server: RunningServer, end: signal.Signals) -> None:
    (template,) = psutil.Process(server.process.pid).children()
    processes = [template, *template.children()]
    processes[1].suspend()  # even one that cannot notice
    server.process.send_signal(end)
    server.process.wait(PATIENCE_S)
    _, alive = psutil.wait_procs(processes, 60)
    assert not alive


def test_a_picture_that_takes_more_memory_than_there_is_fails_alone(models_dir: Path) -> None:
    _, huge = cv2.imencode(".png", np.zeros((7000, 7000, 3), np.uint8))
    settings = {"BLITZ_SLOTS": "2", "BLITZ_MEMORY_MB": "240", "BLITZ_MODELS_DIR": str(models_dir)}
    with running_server(**settings) as server, under_load(server) as answers:
        url = f"http://127.0.0.1:{server.http_port}/v1/segment"
        answer = httpx.post(
            url, content=huge.tobytes(), headers={"content-type": "image/png"}, timeout=PATIENCE_S
        )
        assert answer.status_code == 503, answer.text
        answered = answers["200"]
        wait_for(lambda: answers["200"] > answered + 20)
    assert set(answers) == {"200", "toy 1"}
