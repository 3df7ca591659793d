"""A browser, and the real REST application over a model that finds a drawn scene."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import cv2
import pytest

import service.rest.application  # noqa: F401  # so that every application is complete at once
from service.rest.server import RestServer, create_app
from service.security.callers import ANYBODY, Rules
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.telemetry.metrics import Metrics
from tests.e2e.chromium import EXECUTABLE, Chromium, Tab
from tests.e2e.scene import SceneCatalog, draw_scene
from tests.e2e.visit import READY, SETTLED
from tests.running import PATIENCE_S


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """One Chromium for the tests of a module, with a fake camera.

    While it is open, playwright's event loop occupies this thread, and other modules need one of their own.
    """
    if not EXECUTABLE.exists():
        pytest.skip(f"no browser: {EXECUTABLE} is not installed (Debian: apt-get install chromium)")
    chromium = Chromium()
    yield chromium
    chromium.close()


@pytest.fixture
def tab(browser: Chromium) -> Iterator[Tab]:
    """A fresh page of 1280 by 900 CSS pixels."""
    page = Tab(browser)
    yield page
    page.close()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The address of the service, with a slash at its end."""
    with serving(ANYBODY) as address:
        yield address


@contextlib.contextmanager
def serving(rules: Rules) -> Iterator[str]:
    """The address of a thread that serves the scene, with a slash at its end."""
    ports: Queue[int] = Queue()
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(rules, ports, stop)))
    thread.start()
    yield f"http://127.0.0.1:{ports.get(timeout=PATIENCE_S)}/"
    stop.set()
    thread.join()


async def serve(rules: Rules, ports: "Queue[int]", stop: threading.Event) -> None:
    """Serve the scene until told to stop; the port goes to `ports`."""
    engine = Engine(Admission(1, 4), Metrics(), timeout_s=10)
    engine.use(SceneCatalog())
    server = RestServer(create_app(engine, max_body=1_000_000, rules=rules), drain_s=5)
    ports.put(await server.start("127.0.0.1", 0))
    await asyncio.to_thread(stop.wait)
    engine.stop()
    await server.stop()
    engine.admission.close()


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene as a PNG file, of a name that a shell must be told carefully."""
    file = tmp_path_factory.mktemp("pictures") / "it's a scene.png"
    assert cv2.imwrite(str(file), cv2.cvtColor(draw_scene(), cv2.COLOR_RGB2BGR))
    return file


@pytest.fixture
def page(tab: Tab, address: str, scene: Path) -> Tab:
    """The page with the scene segmented."""
    tab.open(address)
    tab.choose_file("#file", scene)
    tab.wait(READY)
    tab.run(SETTLED)
    return tab
