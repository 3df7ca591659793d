"""Actions of a visitor of the page, and the pixels and elements that the visitor sees."""

import base64

import cv2
import numpy as np
import numpy.typing as npt

from tests.e2e.chromium import Tab
from tests.e2e.scene import SCENE, SIZE

READY = "document.querySelector('#stage').dataset.phase === 'ready'"
FAILED = "document.querySelector('#stage').dataset.phase === 'failed'"
SETTLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def overlay_pixels(tab: Tab) -> npt.NDArray[np.uint8]:
    """The drawing over the picture, at the screen's resolution: uint8 [H, W, 4] BGRA."""
    data = tab.run("document.querySelector('#overlay').toDataURL('image/png')").partition(",")[2]
    encoded = np.frombuffer(base64.b64decode(data), np.uint8)
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), np.uint8)


def rows(tab: Tab) -> list[str]:
    """The list of objects as it reads."""
    listed: list[str] = tab.run(
        "[...document.querySelectorAll('#objects button')].map(({ innerText }) =>"
        " innerText.trim().split(/\\s*\\n\\s*/).join(' '))"
    )
    return listed


def text(tab: Tab, selector: str) -> str:
    return str(tab.run(f"document.querySelector('{selector}').innerText"))


def click(tab: Tab, selector: str) -> None:
    tab.run(f"document.querySelector('{selector}').click()")
    tab.run(SETTLED)


def slide(tab: Tab, threshold: float) -> None:
    tab.run(
        "{ const slider = document.querySelector('#threshold');"
        f" slider.value = {threshold}; slider.dispatchEvent(new Event('input')); }}"
    )
    tab.run(SETTLED)


def place_of(tab: Tab, x: float, y: float) -> tuple[float, float]:
    """The place of an image pixel in the viewport, in CSS pixels."""
    box = tab.run("document.querySelector('#overlay').getBoundingClientRect().toJSON()")
    return box["x"] + x / SIZE.width * box["width"], box["y"] + y / SIZE.height * box["height"]


def requests(tab: Tab, path: str) -> int:
    """The number of requests to a path that the page has made."""
    entries = "performance.getEntriesByType('resource')"
    return int(tab.run(f"{entries}.filter(({{ name }}) => name.includes('{path}')).length"))


def shape_shares(size: tuple[int, int], at: int) -> npt.NDArray[np.float32]:
    """The share of every screen pixel that a shape of the scene covers: float32 [H, W]."""
    height, width = size
    mask = SCENE[at].mask().astype(np.float32)
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
