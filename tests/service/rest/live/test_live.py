"""The answers to frames."""

import asyncio
from typing import cast

import httpx
import numpy as np
import pytest

from service.inference.documents import Json
from service.serving.engine import Engine
from tests.fakes import Gate
from tests.service.rest.live.browser import MAX_BODY, PICTURE, Before, Connect, open_stream, until


async def test_a_frame_is_answered_as_a_post_of_it_would_be(
    connect: Connect, client: httpx.AsyncClient
) -> None:
    asked: dict[str, str | float] = {"model": "toy", "score_threshold": 0.1, "masks": "none"}
    posted = await client.post("/v1/segment", content=PICTURE, params=asked)
    browser = await open_stream(connect, asked, PICTURE)
    answer = await browser.answer()
    extra = {name: answer.pop(name) for name in ("frame_id", "age_ms", "dropped")}
    expected = posted.json()
    del answer["timings_ms"], expected["timings_ms"]
    assert answer == expected
    assert (extra["frame_id"], extra["dropped"]) == (0, 0)
    assert isinstance(extra["age_ms"], float)


async def test_a_frame_may_come_first_and_then_the_defaults_hold(connect: Connect) -> None:
    browser = await open_stream(connect, PICTURE)
    answer = await browser.answer()
    assert (answer["frame_id"], answer["model"]) == (0, "toy")


async def test_a_frame_may_be_given_an_id_and_a_capture_time(connect: Connect) -> None:
    about = {"frame_id": 2**62, "capture_time_us": -5}
    browser = await open_stream(connect, {"policy": "all"}, about, PICTURE, PICTURE)
    first, second = await browser.answer(), await browser.answer()
    assert (first["frame_id"], first["capture_time_us"]) == (2**62, -5)
    assert second["frame_id"] == 1
    assert "capture_time_us" not in second


async def test_raw_pixels_are_a_picture_too(connect: Connect) -> None:
    pixels = np.zeros((30, 60, 3), np.uint8).tobytes()
    raw = {"raw": {"format": "bgr", "height": 30, "width": 60}}
    browser = await open_stream(connect, {"policy": "all"}, raw, pixels, raw, pixels[1:])
    assert (await browser.answer())["image"] == {"height": 30, "width": 60}
    assert "5400 bytes without padding, got 5399" in str((await browser.answer())["detail"])


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b"not an image", "InvalidImage"),
        (b"", "InvalidImage"),
        (PICTURE[:-20], "InvalidImage"),
        (bytes(MAX_BODY + 1), "ImageTooLarge"),
    ],
)
async def test_a_bad_frame_gets_its_problem_and_the_stream_goes_on(
    connect: Connect, frame: bytes, kind: str
) -> None:
    browser = await open_stream(connect, {"policy": "all"}, frame, PICTURE)
    problem, answer = await browser.answer(), await browser.answer()
    assert (problem["type"], problem["frame_id"]) == (f"urn:blitzmask:problem:{kind}", 0)
    assert (answer["frame_id"], "instances" in answer) == (1, True)


@pytest.mark.parametrize(
    "words", ["not JSON", "[]", '{"frame": 1}', '{"frame_id": 1.5}', '{"raw": {"format": "rgb"}}']
)
async def test_words_that_mean_nothing_spoil_only_the_frame_after_them(connect: Connect, words: str) -> None:
    browser = await open_stream(connect, {"policy": "all"}, words, PICTURE, PICTURE)
    problem, answer = await browser.answer(), await browser.answer()
    assert problem["type"] == "urn:blitzmask:problem:InvalidOption"
    assert "instances" in answer


async def test_an_unknown_error_tells_nothing_and_the_stream_goes_on(
    connect: Connect, before: Before
) -> None:
    before.then(lambda: 1 // 0)
    browser = await open_stream(connect, {"policy": "all"}, PICTURE, PICTURE)
    problem, answer = await browser.answer(), await browser.answer()
    assert (problem["status"], problem["frame_id"]) == (500, 0)
    assert "zero" not in str(problem)
    assert "instances" in answer


async def test_a_newer_frame_takes_the_place_of_the_one_that_waits(
    connect: Connect, before: Before, gate: Gate
) -> None:
    before.then(gate)
    browser = await open_stream(connect, {}, PICTURE)
    await gate.reached()
    browser.send(PICTURE, PICTURE, PICTURE)
    await until(lambda: browser.taken == 4)
    await asyncio.sleep(0.01)  # until the last is where it waits
    gate.open()
    answers = [await browser.answer() for _ in range(2)]
    assert [(answer["frame_id"], answer["dropped"]) for answer in answers] == [(0, 2), (3, 2)]


async def test_instances_are_given_identities(connect: Connect) -> None:
    browser = await open_stream(connect, {"track": True, "policy": "all"}, PICTURE, PICTURE, PICTURE)
    answers = [await browser.answer() for _ in range(3)]
    found = [instance for answer in answers for instance in cast("list[Json]", answer["instances"])]
    assert [instance.get("track_id") for instance in found] == [None, 1, 1]


async def test_a_browser_that_does_not_read_is_not_remembered_for(connect: Connect, engine: Engine) -> None:
    silent = await open_stream(connect, {"policy": "all"})
    silent.reading.clear()
    silent.send(*[PICTURE] * 100)
    other = await open_stream(connect, PICTURE)
    assert "instances" in await other.answer()
    await until(lambda: engine.admission.running == 0)
    assert silent.taken <= 5  # two answers, one frame that waits, one in the reader's hands
    silent.reading.set()
    assert [(await silent.answer())["frame_id"] for _ in range(100)] == list(range(100))


async def test_a_scene_reports_events_and_counts_beside_the_instances(connect: Connect) -> None:
    whole = {"name": "all", "corners": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    gate = {"name": "gate", "start": [0, 0], "end": [0, 1]}
    asked = {"track": True, "policy": "all", "scene": {"zones": [whole], "lines": [gate]}}
    browser = await open_stream(connect, asked, PICTURE, PICTURE, PICTURE)
    first, second, third = [await browser.answer() for _ in range(3)]
    assert first["events"] == third["events"] == []
    events = cast(list[Json], second["events"])
    assert [(event["event"], event.get("zone")) for event in events] == [("new", None), ("entered", "all")]
    assert third["zones"] == {"all": {"present": {"cat": 1}, "entered": {"cat": 1}}}
    assert third["lines"] == {"gate": {"in": {}, "out": {}}}


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        ({"zones": [{"name": "yard", "corners": [[0, 0], [1, 1]]}]}, "scene.zones.0.corners"),
        ({"zones": [{"name": "yard", "corners": [[0, 0], [1, 1], [0.5, 0.5]]}]}, "straight line"),
        ({"area": []}, "scene.area"),
    ],
)
async def test_a_scene_that_cannot_be_is_refused(connect: Connect, scene: Json, reason: str) -> None:
    browser = await open_stream(connect, {"track": True, "scene": scene}, PICTURE)
    assert reason in str((await browser.answer())["detail"])
