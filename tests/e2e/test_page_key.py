"""The page before a server that asks for a key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.security.callers import Callers, Key, Rules, hash_key
from tests.e2e.chromium import Tab
from tests.e2e.conftest import serving
from tests.e2e.visit import FAILED, READY, click, rows, text

ASKING = "document.querySelector('#key-dialog')?.open === true"
ANSWERED = "!document.querySelector('#key-dialog').open && document.querySelector('#model').length > 0"
KEY = "swordfish"


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    with serving(Rules(Callers((Key("visitor", hash_key(KEY)),)))) as address:
        yield address


@pytest.fixture
def page(tab: Tab, guarded: str) -> Tab:
    """The page, which asks for the key."""
    tab.page.goto(guarded)
    tab.wait(ASKING)
    return tab


def give(tab: Tab, key: str) -> None:
    tab.run(f"document.querySelector('#key').value = '{key}'")
    click(tab, "#key-form [type=submit]")


def test_a_visitor_gives_the_key_once(page: Tab, guarded: str, scene: Path) -> None:
    assert page.run("document.activeElement.id") == "key"
    give(page, KEY)
    page.wait(ANSWERED)
    page.choose_file("#file", scene)
    page.wait(READY)
    assert len(rows(page)) == 3
    assert KEY not in page.run("document.documentElement.outerHTML")
    assert '-H "X-API-Key: $KEY"' in text(page, "#code")
    page.run("location.hash = '#status'")
    page.wait("document.querySelector('#stages').innerText.includes('14 ms')")
    page.open(guarded)  # again, in the same tab
    page.wait(ANSWERED)


def test_a_wrong_key_is_said_to_be_wrong_and_asked_for_again(page: Tab) -> None:
    assert page.run("document.querySelector('#key-dialog .wrong').hidden")
    give(page, "mackerel")
    page.wait(f"{ASKING} && !document.querySelector('#key-dialog .wrong').hidden")
    give(page, f" {KEY} ")
    page.wait(ANSWERED)


def test_who_does_not_give_one_is_told_and_asked_only_when_trying_again(page: Tab) -> None:
    click(page, "#key-cancel")
    page.wait(FAILED)
    assert "X-API-Key" in text(page, "#failure")
    page.run("location.hash = '#status'")  # which asks the server every two seconds
    page.wait("document.querySelector('#status-lead').innerText.includes('X-API-Key')")
    assert not page.run(ASKING)
    page.run("location.hash = '#segment'")
    click(page, "#retry")
    page.wait(ASKING)
    give(page, KEY)
    page.wait(ANSWERED)


def test_the_webcam_shows_the_key_too(page: Tab) -> None:
    give(page, KEY)
    page.wait("!document.querySelector('#empty [data-action=camera]').hidden")
    page.run("document.querySelector('#empty [data-action=camera]').click()")
    page.wait(READY)
    assert rows(page)
    assert page.faults() == [fault for fault in page.faults() if "401" in fault]


def test_the_reference_is_drawn_within_its_own_policy(tab: Tab, guarded: str) -> None:
    tab.page.goto(f"{guarded}docs")
    tab.wait("document.querySelectorAll('#operations details').length > 5")
    assert tab.faults() == []
