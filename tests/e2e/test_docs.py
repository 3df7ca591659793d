"""The API page in a browser: it reads well on a phone, and sends requests."""

from pathlib import Path

import pytest

from tests.e2e.chromium import Tab

OPEN_CARD = "#operations details[open]"
FORM = f"{OPEN_CARD} .try"


@pytest.fixture
def docs(tab: Tab, address: str) -> Tab:
    """The API page; the card of the first operation, `POST /v1/segment`, is open."""
    tab.page.goto(f"{address}docs")
    tab.page.wait_for_selector(f"{FORM} button")
    return tab


def test_a_visitor_sends_a_picture_with_options_and_sees_the_answer(docs: Tab, scene: Path) -> None:
    docs.choose_file(f"{FORM} [type=file]", scene)
    docs.page.fill(f"{FORM} [aria-label=classes]", "person")
    assert "classes=person" in docs.page.inner_text(f"{FORM} pre")
    docs.page.click(f"{FORM} button")
    docs.page.wait_for_selector(f"{FORM} .outcome pre")
    assert "200" in docs.page.inner_text(f"{FORM} .outcome code")
    answer = docs.page.inner_text(f"{FORM} .outcome pre")
    assert '"label": "person"' in answer
    assert '"cat"' not in answer
    assert docs.faults() == []


def test_an_answer_that_is_a_picture_is_shown_as_one(docs: Tab, scene: Path) -> None:
    docs.choose_file(f"{FORM} [type=file]", scene)
    docs.page.select_option(f"{FORM} [aria-label=accept]", "image/png")
    docs.page.click(f"{FORM} button")
    docs.page.wait_for_selector(f"{FORM} .outcome img")
    assert docs.faults() == []


def test_a_refusal_is_shown_as_the_server_explains_it(docs: Tab, scene: Path) -> None:
    docs.choose_file(f"{FORM} [type=file]", scene)
    docs.page.fill(f"{FORM} [aria-label=max_instances]", "0")
    docs.page.click(f"{FORM} button")
    docs.page.wait_for_selector(f"{FORM} .outcome pre")
    assert "max_instances" in docs.page.inner_text(f"{FORM} .outcome pre")


def test_the_api_page_fits_a_phone(docs: Tab) -> None:
    docs.resize(375, 812, scale=2)
    for card in docs.page.query_selector_all("#operations summary")[1:6]:
        card.click()
    assert docs.run("document.documentElement.scrollWidth") == 375


def test_on_a_phone_every_cell_of_a_table_can_be_seen(docs: Tab) -> None:
    """The meanings were to the right of the screen once, and the rows as high as these."""
    docs.resize(375, 812, scale=2)
    hidden = docs.run(
        f"[...document.querySelectorAll('{OPEN_CARD} td')].filter((cell) => {{"
        " const { left, right, width } = cell.getBoundingClientRect();"
        " return left < 0 || right > 375 || !width; }).map(({ innerText }) => innerText)"
    )
    assert hidden == []
    assert docs.run(f"document.querySelectorAll('{OPEN_CARD} td').length") > 20
