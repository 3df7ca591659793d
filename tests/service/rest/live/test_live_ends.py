"""Refusals and ends of streams; nothing of a stream stays behind."""

import asyncio
import gc

import httpx
import pytest

from service.rest.app import App
from service.rest.server import create_app
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.serving.streaming import StreamSession
from service.telemetry.metrics import Metrics
from tests.fakes import Gate
from tests.service.rest.live.browser import (
    MAX_BODY,
    PICTURE,
    Before,
    Browser,
    Connect,
    Said,
    open_stream,
    until,
)


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ({"policy": "newest"}, "policy: Input should be 'latest' or 'all'"),
        ({"max_fps": 0}, "max_fps"),
        ({"classes": ["unicorn"]}, "unknown classes 'unicorn'; toy knows cat, dog"),
        ({"score_threshold": 2}, "score_threshold"),
        ({"track_threshold": 2}, "track_threshold"),
        ({"threshold": 0.5}, "threshold: Extra inputs"),
        ({"masks": "none", "track": True, "track_overlap": "mask"}, 'ask for masks "rle"'),
        ("{", "Invalid JSON"),
    ],
)
async def test_wrong_options_end_the_stream_with_the_reason(
    connect: Connect, asked: Said, detail: str
) -> None:
    browser = await open_stream(connect, asked)
    problem = await browser.answer()
    assert problem["type"] == "urn:blitzmask:problem:InvalidOption"
    assert detail in str(problem["detail"])
    code, reason = await browser.closed()
    assert code == 1008
    assert str(problem["detail"]).startswith(reason)
    assert 0 < len(reason.encode()) <= 123


async def test_an_unknown_model_ends_the_stream(connect: Connect) -> None:
    browser = await open_stream(connect, {"model": "none"})
    assert (await browser.answer())["status"] == 404
    assert (await browser.closed())[0] == 1008


async def test_more_streams_than_allowed_are_told_to_come_later(connect: Connect, engine: Engine) -> None:
    engine.max_streams = 1
    first = await open_stream(connect, PICTURE)
    await first.answer()
    second = await open_stream(connect, {})
    assert "all 1 streams are taken" in str((await second.answer())["detail"])
    assert (await second.closed())[0] == 1013
    first.send({"end": True})
    await first.closed()
    third = await open_stream(connect, PICTURE)
    assert "instances" in await third.answer()


async def test_before_the_models_are_loaded_streams_are_told_to_come_later(client: httpx.AsyncClient) -> None:
    engine = Engine(Admission(1, 1), Metrics(), timeout_s=10)
    browser = Browser(create_app(engine, max_body=MAX_BODY))
    browser.send({})
    await browser.opened()
    assert "models are loading" in str((await browser.answer())["detail"])
    assert (await browser.closed())[0] == 1013


async def test_the_end_of_a_stream_waits_for_its_answers(
    connect: Connect, before: Before, gate: Gate
) -> None:
    before.then(gate)
    browser = await open_stream(connect, {"policy": "all"}, PICTURE, PICTURE, PICTURE, {"end": True})
    await gate.reached()
    gate.open()
    assert [(await browser.answer())["frame_id"] for _ in range(3)] == [0, 1, 2]
    assert await browser.closed() == (1000, "")


async def test_a_service_that_stops_answers_what_it_has_read(
    connect: Connect, engine: Engine, before: Before, gate: Gate
) -> None:
    before.then(gate)
    browser = await open_stream(connect, {}, PICTURE)
    await gate.reached()
    engine.stop()
    gate.open()
    assert (await browser.answer())["frame_id"] == 0
    assert await browser.closed() == (1012, "the service is stopping")


async def test_a_browser_that_hangs_up_leaves_nothing_behind(
    connect: Connect, engine: Engine, before: Before, gate: Gate
) -> None:
    before.then(gate)
    browser = await open_stream(connect, {}, PICTURE)
    await gate.reached()
    assert engine.streams == 1
    browser.hang_up()
    await browser.task
    assert engine.streams == 0
    gate.open()
    await until(lambda: engine.admission.running == 0)


async def test_a_browser_that_only_looks_whether_there_is_a_stream_is_no_error(connect: Connect) -> None:
    browser = await open_stream(connect)
    browser.hang_up()
    await browser.task


async def test_frames_are_counted(connect: Connect, client: httpx.AsyncClient) -> None:
    browser = await open_stream(connect, {"policy": "all"}, PICTURE, b"", {"end": True})
    for _ in range(2):
        await browser.answer()
    await browser.closed()
    metrics = (await client.get("/metrics")).text
    for outcome in ("ok", "InvalidImage"):
        name = f'blitzmask_requests_total{{method="WS /v1/live frame",outcome="{outcome}",transport="rest"}}'
        assert f"{name} 1.0" in metrics
    assert 'blitzmask_requests_total{method="WS /v1/live",outcome="ok",transport="rest"} 1.0' in metrics
    assert "blitzmask_streams 0.0" in metrics


@pytest.mark.slow
async def test_five_hundred_reconnects_leave_nothing_behind(
    app: App, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(asyncio.all_tasks())
    for number in range(500):
        browser = Browser(app)
        browser.send({"policy": "all" if number % 2 else "latest"}, PICTURE, b"", PICTURE)
        await browser.opened()
        if number % 3:
            await browser.answer()
        browser.hang_up()
        await browser.task
    await until(lambda: engine.admission.running == 0)
    assert (engine.streams, engine.admission.waiting) == (0, 0)
    await until(lambda: len(asyncio.all_tasks()) == before)
    del browser
    await until(lambda: not find_sessions())  # the thread of the last one may not be through with it
    assert [line for line in caplog.messages if "never" in line] == []


def find_sessions() -> list[object]:
    """By their very type: lazy objects of other libraries do not bear to be asked whether they are one."""
    gc.collect()
    return [one for one in gc.get_objects() if type(one) is StreamSession]


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ("[" * 100_000, "100000 characters, at most 65536 are read"),
        ({f"{number}{'x' * 300}": 1 for number in range(100)}, "and 96 more"),
    ],
)
async def test_options_without_measure_are_refused_in_few_words(
    connect: Connect, said: Said, detail: str
) -> None:
    browser = await open_stream(connect, said)
    problem = str((await browser.answer())["detail"])
    assert detail in problem
    assert len(problem) < 500
    assert (await browser.closed())[0] == 1008
