"""Live streams of a model that can be made to wait or to fail."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.rest.app import App
from service.rest.server import create_app
from service.serving.engine import Engine
from tests.fakes import FakeModel, Gate
from tests.service.rest.live.browser import MAX_BODY, Before, Browser, Connect


@pytest.fixture
def before() -> Before:
    return Before()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def model(before: Before) -> FakeModel:
    return FakeModel(before=before)


@pytest.fixture
def app(engine: Engine) -> App:
    return create_app(engine, max_body=MAX_BODY)


@pytest.fixture
async def connect(app: App) -> AsyncIterator[Connect]:
    browsers = list[Browser]()

    def connect() -> Browser:
        browsers.append(Browser(app))
        return browsers[-1]

    yield connect
    for browser in browsers:
        browser.hang_up()
    await asyncio.gather(*(browser.task for browser in browsers))
