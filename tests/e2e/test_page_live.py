"""The page and Chromium's fake camera, through the live endpoint."""

import re
from pathlib import Path

from tests.e2e.chromium import Tab
from tests.e2e.visit import FAILED, READY, click, overlay_pixels, rows, slide, text

CAMERA_BUTTON = "document.querySelector('#empty [data-action=camera]')"
KEEP_SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url);
    sockets.push(this);
  }
};
"""
COUNT_DRAWINGS = """{
  window.drawings = 0;
  const { drawImage } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.drawImage = function (...how) {
    drawings += 1;
    return drawImage.apply(this, how);
  };
}"""
TEAR_ONE_FRAME = """{
  const { toBlob } = HTMLCanvasElement.prototype;
  HTMLCanvasElement.prototype.toBlob = function (done) {
    HTMLCanvasElement.prototype.toBlob = toBlob;
    done(new Blob(["not a picture"]));
  };
}"""


def start_webcam(tab: Tab, address: str) -> None:
    """Chromium's fake camera through the live endpoint."""
    tab.open(address)
    tab.wait(f"!{CAMERA_BUTTON}.hidden")
    tab.run(f"{CAMERA_BUTTON}.click()")
    tab.wait(READY)


def lose(tab: Tab, *, code: int) -> None:
    """The server closes the stream, as the page sees it."""
    event = f"new CloseEvent('close', {{ code: {code}, reason: 'the service is stopping' }})"
    tab.run(f"sockets.at(-1).dispatchEvent({event})")


def test_the_webcam_goes_through_the_live_endpoint(tab: Tab, address: str) -> None:
    start_webcam(tab, address)
    tab.wait("/Webcam, \\d\\d+ frames/.test(document.querySelector('#summary').innerText)")
    (row,) = rows(tab)
    assert re.fullmatch(r"person #\d+ 141 × 231 0.91", row)
    live = "document.querySelector('#live')"
    assert tab.run(f"[{live}.width, {live}.height]") == [640, 480]
    assert tab.run(f"{live}.getContext('2d').getImageData(0, 0, 64, 64).data.some((value) => value > 0)")
    assert overlay_pixels(tab).any()
    assert tab.run("document.querySelector('#failure').hidden")


def test_what_is_pinned_in_a_stream_stays_pinned_from_frame_to_frame(tab: Tab, address: str) -> None:
    start_webcam(tab, address)
    tab.wait("/#\\d/.test(document.querySelector('#objects').innerText)")
    tab.run("document.querySelector('#objects button').click()")
    pinned = "document.querySelector('#objects button').ariaPressed"
    for state in ("true", "false"):
        tab.run(COUNT_DRAWINGS)
        tab.wait("drawings > 20")
        assert tab.run(pinned) == state
        tab.run("document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }))")


def test_moving_the_slider_starts_the_stream_anew_and_the_camera_goes_on(tab: Tab, address: str) -> None:
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_SOCKETS)
    start_webcam(tab, address)
    slide(tab, 0.95)
    assert rows(tab) == []
    tab.wait("sockets.length === 3")  # the probe, the first stream, the second
    slide(tab, 0.5)
    tab.wait("document.querySelectorAll('#objects li').length === 1")
    assert text(tab, "#bar [data-action=camera]") == "Stop"


def test_the_webcam_stops_with_its_last_frame_as_a_still(tab: Tab, address: str) -> None:
    start_webcam(tab, address)
    click(tab, "#bar [data-action=camera]")
    tab.wait("document.querySelector('#picture').naturalWidth === 640")
    assert text(tab, "#summary").startswith("webcam.jpg")
    assert "--data-binary '@webcam.jpg'" in text(tab, "#code")
    assert text(tab, "#bar [data-action=camera]") == "Webcam"
    assert len(rows(tab)) == 1


def test_a_picture_takes_over_from_the_webcam(tab: Tab, address: str, scene: Path) -> None:
    start_webcam(tab, address)
    tab.choose_file("#file", scene)
    tab.wait("document.querySelectorAll('#objects li').length === 3")
    assert tab.run("document.querySelector('#live').hidden")
    assert text(tab, "#bar [data-action=camera]") == "Webcam"


def test_a_lost_stream_says_so_and_is_begun_anew(tab: Tab, address: str) -> None:
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_SOCKETS)
    start_webcam(tab, address)
    for count in (3, 4):  # the probe, the first stream, the second
        lose(tab, code=1012)
        tab.wait(FAILED)
        assert "the service is stopping" in text(tab, "#failure")
        assert not tab.run("document.querySelector('#live').hidden")
        tab.wait(f"sockets.length === {count}")
        tab.wait(READY)
    assert text(tab, "#bar [data-action=camera]") == "Stop"


def test_a_stream_that_is_refused_for_good_says_so_and_keeps_the_last_frame(tab: Tab, address: str) -> None:
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_SOCKETS)
    start_webcam(tab, address)
    lose(tab, code=1008)
    tab.wait(FAILED)
    assert text(tab, "#failure").startswith("The live stream ended")
    assert "the service is stopping" in text(tab, "#failure")
    tab.wait("document.querySelector('#picture').naturalWidth === 640")


def test_a_refused_frame_is_told_and_the_stream_goes_on(tab: Tab, address: str) -> None:
    start_webcam(tab, address)
    tab.run(
        "new MutationObserver(() => { window.told ??= document.querySelector('#failure').innerText; })"
        ".observe(document.querySelector('#failure'), { attributes: true })"
    )
    tab.run(TEAR_ONE_FRAME)
    tab.wait("window.told !== undefined")
    tab.wait(READY)


def test_without_a_live_endpoint_there_is_no_webcam_button(tab: Tab, address: str) -> None:
    tab.call(
        "Page.addScriptToEvaluateOnNewDocument", source=KEEP_SOCKETS.replace("(url);", "(url + '/nowhere');")
    )
    tab.open(address)
    tab.wait("sockets.at(-1)?.readyState === WebSocket.CLOSED")
    assert tab.run("[...document.querySelectorAll('[data-action=camera]')].every(({ hidden }) => hidden)")
