"""The page and Chromium's fake camera, through the live endpoint."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.chromium import Tab
from tests.e2e.visit import FAILED, READY, SETTLED, click, overlay_pixels, rows, slide, text

CAMERA_BUTTON = "document.querySelector('#empty [data-action=camera]')"
KEEP_SOCKETS = """
window.sockets = [];
window.down = false;
window.WebSocket = class extends WebSocket {
  constructor(url) {
    super(down ? url + "/nowhere" : url);
    sockets.push(this);
  }
};
"""
HOLD_CAMERA = """
window.tracks = [];
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wanted) => new Promise((resolve) => {
  window.allow = async () => {
    const stream = await ask(wanted);
    tracks.push(...stream.getTracks());
    resolve(stream);
  };
});
"""
STOP_WHEN_PLAYING = """{
  const { play } = HTMLMediaElement.prototype;
  HTMLMediaElement.prototype.play = function () {
    const playing = play.call(this);
    document.querySelector("#bar [data-action=camera]").click();
    window.played = playing.catch(() => {});
    return playing;
  };
}"""
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


def ask_for_camera(tab: Tab, address: str) -> None:
    """The webcam's button is pressed, and the browser waits for the visitor's permission."""
    for source in (KEEP_SOCKETS, HOLD_CAMERA):
        tab.page.add_init_script(source)
    tab.open(address)
    tab.wait(f"!{CAMERA_BUTTON}.hidden")
    click(tab, "#empty [data-action=camera]")
    assert text(tab, "#summary") == "Waiting for the camera…"


def allow_camera(tab: Tab) -> None:
    """The visitor allows a camera that nobody wants any more: it is let go, and no stream begins."""
    tab.run("allow()")
    tab.run(SETTLED)
    assert tab.run("tracks.map(({ readyState }) => readyState)") == ["ended"]
    assert tab.run("sockets.length") == 1  # the probe


def choose_masks(tab: Tab, masks: str) -> None:
    tab.run(
        f"{{ const select = document.querySelector('#format'); select.value = '{masks}';"
        " select.dispatchEvent(new Event('change')); }"
    )


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


def test_the_slider_filters_a_stream_without_beginning_it_anew(tab: Tab, address: str) -> None:
    tab.page.add_init_script(KEEP_SOCKETS)
    start_webcam(tab, address)
    tab.wait("/#1/.test(document.querySelector('#objects').innerText)")
    for threshold, found in ((0.95, []), (0.05, ["person #1", "cup"]), (0.5, ["person #1"])):
        slide(tab, threshold)
        tab.run(COUNT_DRAWINGS)
        tab.wait("drawings > 20")
        assert [row.partition(" 1")[0].partition(" 8")[0] for row in rows(tab)] == found
    assert tab.run("sockets.length") == 2  # the probe, the stream
    assert text(tab, "#bar [data-action=camera]") == "Stop"


def test_another_form_of_masks_starts_the_stream_anew_and_the_camera_goes_on(tab: Tab, address: str) -> None:
    tab.page.add_init_script(KEEP_SOCKETS)
    start_webcam(tab, address)
    choose_masks(tab, "polygon")
    tab.wait("sockets.length === 3")  # the probe, the first stream, the second
    tab.wait(READY)
    assert text(tab, "#bar [data-action=camera]") == "Stop"


def test_the_webcam_stops_with_its_last_frame_as_a_still(tab: Tab, address: str) -> None:
    start_webcam(tab, address)
    click(tab, "#bar [data-action=camera]")
    tab.wait("document.querySelector('#picture').naturalWidth === 640")
    assert text(tab, "#summary").startswith("webcam.jpg")
    assert "--data-binary '@webcam.jpg'" in text(tab, "#code")
    assert text(tab, "#bar [data-action=camera]") == "Webcam"
    assert len(rows(tab)) == 1
    slide(tab, 0.05)
    assert [row.split()[0] for row in rows(tab)] == ["person", "cup"]


def test_the_curl_line_of_a_still_works_with_the_file_that_the_page_saves(
    tab: Tab, address: str, tmp_path: Path
) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    start_webcam(tab, address)
    click(tab, "#bar [data-action=camera]")
    assert text(tab, "#save") == "Save webcam.jpg"
    with tab.page.expect_download() as saved:
        click(tab, "#save")
    saved.value.save_as(tmp_path / "webcam.jpg")
    line = text(tab, "#code")
    answer = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, check=True).stdout
    assert [one["label"] for one in json.loads(answer)["instances"]] == ["person"]


def test_a_camera_that_is_allowed_after_stop_does_not_film(tab: Tab, address: str) -> None:
    ask_for_camera(tab, address)
    click(tab, "#bar [data-action=camera]")
    allow_camera(tab)
    assert tab.run("document.querySelector('#failure').hidden")
    assert not tab.run("document.querySelector('#empty').hidden")


def test_a_camera_that_is_allowed_after_a_picture_was_chosen_does_not_film(
    tab: Tab, address: str, scene: Path
) -> None:
    ask_for_camera(tab, address)
    tab.choose_file("#file", scene)
    tab.wait(READY)
    allow_camera(tab)
    assert len(rows(tab)) == 3


def test_a_webcam_that_is_stopped_while_it_starts_is_no_failure(tab: Tab, address: str) -> None:
    tab.open(address)
    tab.wait(f"!{CAMERA_BUTTON}.hidden")
    tab.run(STOP_WHEN_PLAYING)
    click(tab, "#empty [data-action=camera]")
    tab.wait("window.played !== undefined")
    tab.run("window.played")
    tab.run(SETTLED)
    assert tab.run("document.querySelector('#failure').hidden")
    assert text(tab, "#bar [data-action=camera]") == "Webcam"


def test_a_camera_that_is_unplugged_leaves_its_last_frame(tab: Tab, address: str) -> None:
    ask_for_camera(tab, address)
    tab.run("allow()")
    tab.wait(READY)
    tab.run("tracks[0].dispatchEvent(new Event('ended'))")
    tab.wait(FAILED)
    assert text(tab, "#failure strong") == "The camera is gone"
    assert text(tab, "#bar [data-action=camera]") == "Webcam"
    tab.wait("document.querySelector('#picture').naturalWidth === 640")


def test_a_picture_takes_over_from_the_webcam(tab: Tab, address: str, scene: Path) -> None:
    start_webcam(tab, address)
    tab.choose_file("#file", scene)
    tab.wait("document.querySelectorAll('#objects li').length === 3")
    assert tab.run("document.querySelector('#live').hidden")
    assert text(tab, "#bar [data-action=camera]") == "Webcam"


def test_a_lost_stream_says_so_and_is_begun_anew(tab: Tab, address: str) -> None:
    tab.page.add_init_script(KEEP_SOCKETS)
    start_webcam(tab, address)
    for count in (3, 4):  # the probe, the first stream, the second
        lose(tab, code=1012)
        tab.wait(FAILED)
        assert "The service is stopping." in text(tab, "#failure")
        assert not tab.run("document.querySelector('#live').hidden")
        tab.wait(f"sockets.length === {count}")
        tab.wait(READY)
    assert text(tab, "#bar [data-action=camera]") == "Stop"


def test_a_server_that_is_gone_for_a_while_is_waited_for(tab: Tab, address: str) -> None:
    tab.page.add_init_script(KEEP_SOCKETS)
    start_webcam(tab, address)
    tab.run("window.down = true")
    lose(tab, code=1006)
    tab.wait("sockets.length > 3")  # the probe, the stream, and what found nobody
    choose_masks(tab, "polygon")  # which asks for another stream
    tab.wait(FAILED)
    title, detail = text(tab, "#failure div").split("\n\n")
    assert title == "The live stream is interrupted"
    assert detail.endswith("This page tries again by itself.")
    assert text(tab, "#summary").startswith("Webcam, waiting for the server")
    assert text(tab, "#bar [data-action=camera]") == "Stop"
    tab.run("window.down = false")
    click(tab, "#retry")
    tab.wait(READY)
    assert tab.run("document.querySelector('#failure').hidden")


def test_a_stream_that_is_refused_for_good_says_so_and_keeps_the_last_frame(tab: Tab, address: str) -> None:
    tab.page.add_init_script(KEEP_SOCKETS)
    start_webcam(tab, address)
    lose(tab, code=1008)
    tab.wait(FAILED)
    assert text(tab, "#failure").startswith("The live stream ended")
    assert "The service is stopping." in text(tab, "#failure")
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
    tab.page.add_init_script(f"{KEEP_SOCKETS}window.down = true;")
    tab.open(address)
    tab.wait("sockets.at(-1)?.readyState === WebSocket.CLOSED")
    assert tab.run("[...document.querySelectorAll('[data-action=camera]')].every(({ hidden }) => hidden)")
