"""Video files from the disk, through the live endpoint."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.e2e.chromium import Tab
from tests.e2e.scene import CAMERA
from tests.e2e.test_page_live import KEEP_SOCKETS
from tests.e2e.visit import FAILED, READY, SETTLED, click, rows, text

FRAMES, FPS = 20, 10
LIVE_ENDED = "document.querySelector('#play').dataset.state === 'Play again'"
COUNT_ANSWERS = """
window.answers = [];
window.WebSocket = class extends WebSocket {
  constructor(...how) {
    super(...how);
    this.addEventListener("message", ({ data }) => answers.push(JSON.parse(data)));
  }
};
"""


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of WebM in the size in which the model finds a person."""
    file = tmp_path_factory.mktemp("clips") / "yard.webm"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"VP80"), FPS, (CAMERA.width, CAMERA.height))
    for number in range(FRAMES):
        writer.write(np.full((CAMERA.height, CAMERA.width, 3), 40 + 9 * number, np.uint8))
    writer.release()
    return file


@pytest.fixture
def video(tab: Tab, address: str, clip: Path) -> Tab:
    """The page while the clip plays."""
    tab.page.add_init_script(COUNT_ANSWERS)
    tab.open(address)
    tab.choose_file("#file", clip)
    tab.wait(READY)
    return tab


def test_a_video_is_tracked_to_its_end_and_leaves_its_last_frame(video: Tab) -> None:
    video.wait(LIVE_ENDED)
    video.wait("document.querySelector('#picture').naturalWidth === 640")
    assert [row.split(" 1")[0] for row in rows(video)] == ["person #"] or rows(video)[0].startswith(
        "person #1"
    )
    times = video.run("answers.map(({ capture_time_us }) => capture_time_us / 1e6)")
    assert times == sorted(times)
    assert len(set(times)) == len(times) > FRAMES / 2
    assert times[-1] == pytest.approx((FRAMES - 1) / FPS, abs=0.11)
    assert all(video.run("answers.map(({ dropped }) => dropped === 0)"))
    assert text(video, "#summary").startswith("yard.webm at 1.")
    assert video.faults() == []


def test_a_video_that_has_ended_plays_again(video: Tab) -> None:
    video.wait(LIVE_ENDED)
    video.run("answers.length = 0")
    click(video, "#play")
    video.wait("answers.length > 2")
    assert video.run("answers[0].capture_time_us") < 1e6
    video.wait(LIVE_ENDED)


def test_a_video_that_pauses_asks_for_nothing_and_goes_on_where_it_was(video: Tab) -> None:
    video.wait("answers.length > 2")
    click(video, "#play")
    assert video.run("document.querySelector('#play').ariaLabel") == "Play"
    video.run("new Promise((done) => setTimeout(done, 300))")  # what was on its way has come
    before = video.run("answers.length")
    video.run("new Promise((done) => setTimeout(done, 300))")
    assert video.run("answers.length") == before
    click(video, "#play")
    video.wait(LIVE_ENDED)
    times = video.run("answers.map(({ capture_time_us }) => capture_time_us)")
    assert times == sorted(times)


def test_a_visitor_goes_to_another_place_of_a_video(video: Tab) -> None:
    video.wait("answers.length > 1")
    click(video, "#play")
    video.run("answers.length = 0")
    video.run(
        "{ const slider = document.querySelector('#position'); slider.value = 1.5;"
        " slider.dispatchEvent(new Event('change')); }"
    )
    video.wait("answers.some(({ capture_time_us }) => Math.abs(capture_time_us / 1e6 - 1.5) < 0.11)")
    video.wait("document.querySelector('#clock').innerText === '0:01 of 0:02'")


def test_a_video_that_the_browser_cannot_play_is_refused(tab: Tab, address: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    tab.open(address)
    tab.choose_file("#file", broken)
    tab.wait(FAILED)
    assert text(tab, "#failure strong") == "broken.mp4 cannot be played"
    assert "blitzmask camera" in text(tab, "#failure")
    assert tab.run("document.querySelector('#retry').hidden")
    assert not tab.run("document.querySelector('#empty').hidden")


def test_a_picture_takes_over_from_a_video(video: Tab, scene: Path) -> None:
    video.choose_file("#file", scene)
    video.wait("document.querySelectorAll('#objects li').length === 3")
    assert video.run("document.querySelector('#controls').hidden")


def test_a_stream_that_the_server_closes_during_a_pause_is_begun_anew_by_play(
    tab: Tab, address: str, clip: Path
) -> None:
    tab.page.add_init_script(KEEP_SOCKETS)
    tab.open(address)
    tab.choose_file("#file", clip)
    tab.wait(READY)
    click(tab, "#play")
    tab.run("sockets.at(-1).dispatchEvent(new CloseEvent('close', { code: 1013, reason: 'idle' }))")
    tab.run(SETTLED)
    assert tab.run("document.querySelector('#failure').hidden")
    before = tab.run("sockets.length")
    click(tab, "#play")
    tab.wait(f"sockets.length === {before + 1}")
    tab.wait(LIVE_ENDED)
