from pathlib import Path

import psutil
import pytest

from loadtest.measurement.server_info import probe
from loadtest.measurement.server_process import find_event, measure_cold_start, serving
from loadtest.types import CannotRun, Photo, Target


async def test_a_server_of_this_checkout_answers_on_both_ports_and_is_gone_afterwards(
    models: Path, photo: Photo
) -> None:
    with serving(models) as server:
        served, _ = await probe(Target("rest", "127.0.0.1", server.http_port), [photo])
        assert served == (await probe(Target("grpc", "127.0.0.1", server.grpc_port), [photo]))[0]
        assert psutil.pid_exists(server.pid)
    assert (served.model, served.version) == ("fake", "1")
    assert not psutil.pid_exists(server.pid)


def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="did not start"), serving(tmp_path):
        raise AssertionError("it started")
    bad = serving(tmp_path, settings={"BLITZ_SLOTS": "none"})
    with pytest.raises(CannotRun, match="BLITZ_SLOTS"), bad:
        raise AssertionError("it started")


async def test_a_cold_start_lasts_from_the_process_to_the_first_answer(models: Path, photo: Photo) -> None:
    assert await measure_cold_start(models, photo) > 0.1


def test_an_event_is_found_among_lines_that_are_no_json() -> None:
    log = 'warning\n[1]\n{"event": "listening", "http_port": 5}\n{"event": "listening", "http_port": 6}\n{"ev'
    assert find_event(log, "listening") == {"event": "listening", "http_port": 5}
    assert find_event(log, "ready") is None
