"""The system's headless Chromium, driven by playwright."""

import time
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, CDPSession, ConsoleMessage, Page, Playwright, sync_playwright

from tests.running import PATIENCE_S

EXECUTABLE = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--hide-scrollbars",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


class Chromium:
    """One browser process; no event loop can run in its thread until it is closed."""

    def __init__(self) -> None:
        self._playwright: Playwright = sync_playwright().start()
        self.browser: Browser = self._playwright.chromium.launch(
            executable_path=EXECUTABLE, args=list(FLAGS), timeout=1000 * PATIENCE_S
        )

    def close(self) -> None:
        self.browser.close()
        self._playwright.stop()


class Tab:
    """A page in the browser, with storage of its own."""

    def __init__(self, chromium: Chromium, *, width: int = 1280, height: int = 900) -> None:
        self._context = chromium.browser.new_context(viewport={"width": width, "height": height})
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE_S)
        self._session: CDPSession = self._context.new_cdp_session(self.page)
        self._faults: list[str] = []
        self.page.on("pageerror", lambda error: self._faults.append(str(error)))
        self.page.on("console", self._keep_fault)

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a DevTools command that playwright has no method for."""
        return self._session.send(method, parameters)

    def resize(self, width: int, height: int, *, scale: float = 1) -> None:
        """Set the viewport in CSS pixels; one narrower than 500 is a phone's."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 500,
        )

    def prefer_color_scheme(self, scheme: Literal["dark", "light"]) -> None:
        self.page.emulate_media(color_scheme=scheme)

    def open(self, url: str) -> None:
        """Open the service's page and wait for its list of models."""
        self.page.goto(url)
        self.wait("document.readyState === 'complete' && document.querySelector('#model')?.length > 0")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited where it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]["exception"].get("description")
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Returns once the expression is true; fails with the page's text when it never is.

        The page's content policy forbids `eval`, which playwright's own `wait_for_function` needs.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not self.run(condition):
            assert time.monotonic() < deadline, f"never: {condition}\n{self.run('document.body.innerText')}"
            self.page.wait_for_timeout(30)

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def point(self, x: float, y: float, *, click: bool = False) -> None:
        """Move the mouse to a place of the viewport, in CSS pixels."""
        self.page.mouse.move(x, y)
        if click:
            self.page.mouse.click(x, y)

    def choose_file(self, selector: str, file: Path) -> None:
        self.page.set_input_files(selector, file)

    def drop_file(self, x: float, y: float, file: Path) -> None:
        """Drag a file over the page and let it go; playwright has no drag of files from outside."""
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)
            self.run("0")  # the page has answered whether it takes the drop

    def screenshot(self) -> bytes:
        """The viewport as PNG."""
        return self.page.screenshot()

    def faults(self) -> list[str]:
        """Exceptions, errors, warnings and policy violations that this page has reported."""
        self.run("0")  # the reports that were on their way have arrived
        return list(self._faults)

    def close(self) -> None:
        self._context.close()

    def _keep_fault(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._faults.append(f"{message.text} {message.location.get('url', '')}")
