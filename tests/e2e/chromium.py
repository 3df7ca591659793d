"""A headless Chromium, driven over its debugging pipe: no driver to install, no port to guard."""

import base64
import itertools
import json
import os
import selectors
import subprocess
import time
from pathlib import Path
from typing import Any, TypeAlias

Event: TypeAlias = dict[str, Any]

EXECUTABLE = Path("/usr/bin/chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-pipe",
)
PATIENCE_S = 30.0


class Chromium:
    """One browser process; commands and events are JSON, NUL-terminated, on two pipes."""

    def __init__(self, profile: Path) -> None:
        # Chromium reads commands from descriptor 3 and answers on 4.
        launch = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1'
        command = ["sh", "-c", launch, "sh", str(EXECUTABLE), *FLAGS, f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._ids = itertools.count(1)
        self._held = b""
        self.events: list[Event] = []

    def call(self, method: str, *, session: str | None = None, **parameters: Any) -> Event:
        """The result of a DevTools command; raises AssertionError with what Chromium says against it."""
        number = next(self._ids)
        message: Event = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        while (answer := self._read()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: Event = answer["result"]
        return result

    def close(self) -> None:
        self.call("Browser.close")
        self._process.wait(PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _read(self) -> Event:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\0" not in self._held:
                assert selector.select(PATIENCE_S), "Chromium does not answer"
                chunk = os.read(self._process.stdout.fileno(), 1 << 20)
                assert chunk, "Chromium is gone"
                self._held += chunk
        message, self._held = self._held.split(b"\0", 1)
        event: Event = json.loads(message)
        return event


class Tab:
    """A page in the browser."""

    def __init__(self, browser: Chromium, *, width: int = 1280, height: int = 900) -> None:
        self._browser = browser
        self._target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def call(self, method: str, **parameters: Any) -> Event:
        return self._browser.call(method, session=self._session, **parameters)

    def resize(self, width: int, height: int, *, scale: float = 1) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 500,
        )

    def prefer(self, **features: str) -> None:
        """Emulate media features, such as `color_scheme="dark"`."""
        named = [{"name": f"prefers-{name.replace('_', '-')}", "value": v} for name, v in features.items()]
        self.call("Emulation.setEmulatedMedia", features=named)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && document.querySelector('#model')?.length > 0")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited where it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]["exception"].get("description")
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Returns once the expression is true; fails with what the page shows when it never is."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.run(condition):
            assert time.monotonic() < deadline, f"never: {condition}\n{self.run('document.body.innerText')}"
            time.sleep(0.03)

    def press(self, key: str) -> None:
        code = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowRight": 39}[key]
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def point(self, x: float, y: float, *, click: bool = False) -> None:
        """Move the mouse to a place of the viewport, in CSS pixels."""
        kinds = ("mouseMoved", "mousePressed", "mouseReleased") if click else ("mouseMoved",)
        for kind in kinds:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def choose_file(self, selector: str, file: Path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def drop_file(self, x: float, y: float, file: Path) -> None:
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)
            self.run("0")  # the page has answered whether it takes the drop

    def screenshot(self) -> bytes:
        """The viewport as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def faults(self) -> list[str]:
        """What the console was told against this page: exceptions, errors, policy violations."""
        self.run("0")  # whatever was on its way has arrived
        mine = (event for event in self._browser.events if event.get("sessionId") == self._session)
        return [text for event in mine if (text := _fault(event))]

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)
        self._browser.events.clear()


def _fault(event: Event) -> str | None:
    match event["method"], event["params"]:
        case "Runtime.exceptionThrown", {"exceptionDetails": details}:
            return str(details.get("exception", {}).get("description", details["text"]))
        case "Log.entryAdded", {"entry": {"level": "error" | "warning", "text": text, **entry}}:
            return f"{text} {entry.get('url', '')}"
        case _:
            return None
