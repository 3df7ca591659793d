"""The page when something goes wrong: its messages, and the ways out that it offers."""

from pathlib import Path

import numpy as np

from tests.e2e.chromium import Tab
from tests.e2e.visit import FAILED, READY, click, requests, rows, text

RETRY_HIDDEN = "document.querySelector('#retry').hidden"


def go_offline(tab: Tab, *, offline: bool) -> None:
    tab.page.context.set_offline(offline)


def test_a_refused_picture_is_named_and_the_page_goes_on(
    tab: Tab, address: str, scene: Path, tmp_path: Path
) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(scene.read_bytes()[:200])
    tab.open(address)
    tab.choose_file("#file", torn)
    tab.wait(FAILED)
    assert text(tab, "#failure strong") == "torn.png cannot be read"
    assert "JPEG and PNG will do" in text(tab, "#failure")
    assert tab.run(RETRY_HIDDEN)  # the same bytes would be refused again
    tab.choose_file("#file", scene)
    tab.wait(READY)
    assert tab.run("document.querySelector('#failure').hidden")
    assert len(rows(tab)) == 3


def test_a_picture_that_is_too_large_is_told_so_in_megabytes(tab: Tab, address: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(np.zeros(1_200_000, np.uint8).tobytes())
    tab.open(address)
    tab.choose_file("#file", large)
    tab.wait(FAILED)
    assert text(tab, "#failure strong") == "large.png is too large"
    assert "1.2 MB" in text(tab, "#failure")
    assert tab.run(RETRY_HIDDEN)


def test_a_file_that_is_no_picture_is_not_sent(tab: Tab, address: str, tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Sir")
    tab.open(address)
    tab.choose_file("#file", letter)
    tab.wait(FAILED)
    assert text(tab, "#failure").startswith("letter.txt is neither a picture nor a video")
    assert text(tab, "#empty h1") == "Drop a picture or video here"
    assert requests(tab, "v1/segment") == 0


def test_a_file_that_is_no_picture_leaves_the_one_before_alone(page: Tab, tmp_path: Path) -> None:
    letter = tmp_path / "letter.pdf"
    letter.write_bytes(b"%PDF-1.7")
    page.drop_file(400, 300, letter)
    page.wait(FAILED)
    assert text(page, "#failure").startswith("letter.pdf is neither a picture nor a video")
    assert page.run(RETRY_HIDDEN)
    assert len(rows(page)) == 3
    assert requests(page, "v1/segment") == 1


def test_a_server_that_is_gone_is_told_apart_and_asked_again_when_it_is_back(page: Tab) -> None:
    go_offline(page, offline=True)
    click(page, "#bar [data-action=sample]")
    page.wait(FAILED)
    assert text(page, "#failure").startswith("The server cannot be reached")
    go_offline(page, offline=False)
    click(page, "#retry")
    page.wait(READY)
    assert text(page, "#summary").startswith("astronaut.jpg")


def test_the_status_view_has_no_figures_of_a_server_that_is_gone(page: Tab) -> None:
    page.run("location.hash = '#status'")
    page.wait("document.querySelector('#stages').innerText.includes('14 ms')")
    go_offline(page, offline=True)
    page.wait("document.querySelector('#status-lead').innerText.includes('cannot be reached')")
    figures = "[...document.querySelectorAll('#tiles [data-part=value]')].map(({ innerText }) => innerText)"
    assert set(page.run(figures)) == {"–"}
    assert text(page, "#stages") == text(page, "#models") == ""
    go_offline(page, offline=False)
    page.wait("document.querySelector('#stages').innerText.includes('14 ms')")
