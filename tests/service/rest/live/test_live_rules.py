"""The waits of a live stream for its browser, and the rate of a key on it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.rest.app import App
from service.rest.server import create_app
from service.security.callers import Callers, Key, Rules, hash_key
from service.serving.engine import Engine
from tests.fakes import FakeModel
from tests.service.rest.live.browser import MAX_BODY, PICTURE, Browser, Connect, open_stream

TOO_LATE = "urn:blitzmask:problem:DeadlineExceeded"
LATER = 1013


@pytest.fixture
def app(engine: Engine) -> App:
    return create_app(engine, max_body=MAX_BODY, rules=Rules(first_s=0.1, idle_s=0.2))


async def test_a_stream_that_never_begins_is_closed(connect: Connect, engine: Engine) -> None:
    browser = await open_stream(connect)
    problem = await browser.answer()
    assert problem["type"] == TOO_LATE
    assert problem["detail"] == "nothing came over this stream for 0.1 seconds"
    assert await browser.closed() == (LATER, problem["detail"])


@pytest.mark.parametrize("said", [(PICTURE,), ({"policy": "all"}, PICTURE)])
async def test_one_on_which_nothing_more_comes_is_closed_and_its_place_is_free(
    connect: Connect, engine: Engine, said: tuple[Any, ...]
) -> None:
    browser = await open_stream(connect, *said)
    assert "instances" in await browser.answer()
    assert engine.streams == 1
    assert (await browser.answer())["type"] == TOO_LATE
    assert (await browser.closed())[0] == LATER
    assert engine.streams == 0


class TestRates:
    @pytest.fixture
    def app(self, engine: Engine) -> App:
        rules = Rules(Callers((Key("cam", hash_key("swordfish"), rate=0.01),)))
        return create_app(engine, max_body=MAX_BODY, rules=rules)

    @pytest.fixture
    async def browser(self, app: App) -> AsyncIterator[Browser]:
        browser = Browser(app, headers=[(b"x-api-key", b"swordfish")])
        yield browser
        browser.hang_up()
        await browser.task

    async def test_frames_beyond_a_keys_rate_are_refused_one_by_one(
        self, browser: Browser, model: FakeModel, engine: Engine
    ) -> None:
        browser.send({"policy": "all"}, PICTURE, PICTURE)
        await browser.opened()  # which uses up the key's one
        for number in range(2):
            problem = await browser.answer()
            assert problem["frame_id"] == number
            assert problem["status"] == 429
        assert model.seen == []
        assert 'key="cam",outcome="RateLimited"} 2.0' in engine.metrics.exposition().decode()
