"""Callers by their keys, and the rate of a key."""

import pytest

from service.errors import Forbidden, RateLimited, Unauthorized
from service.security.callers import Callers, make_cells
from service.security.keys import Key, hash_key

CAM = Key("cam", hash_key("first"))
SLOW = Key("slow", hash_key("second"), rate=0.001)
BURST = Key("burst", hash_key("third"), rate=5)
BOSS = Key("boss", hash_key("fourth"))


def show(key: str) -> dict[str, str]:
    return {"x-api-key": key}


def test_who_shows_a_key_is_known_by_its_name() -> None:
    callers = Callers((CAM, SLOW), (BOSS,))
    assert callers.required
    assert callers.admit(show("first")).name == "cam"
    assert not callers.admit(show("first")).admin
    assert callers.admit({"authorization": "Bearer fourth"}).admin


@pytest.mark.parametrize("key", ["", "fifth", CAM.digest])
def test_everybody_else_is_told_how_to_show_one(key: str) -> None:
    with pytest.raises(Unauthorized, match="X-API-Key"):
        Callers((CAM,), (BOSS,)).admit(show(key))


def test_admins_alone_lock_nobody_out() -> None:
    callers = Callers((), (BOSS,))
    assert not callers.required
    assert callers.admit_admin(show("fourth")).name == "boss"
    with pytest.raises(Unauthorized):
        callers.admit_admin({})


def test_only_admins_change_models_and_only_where_that_reaches_all_workers() -> None:
    with pytest.raises(Forbidden, match="the key cam may not do this"):
        Callers((CAM,), (BOSS,)).admit_admin(show("first"))
    with pytest.raises(Forbidden, match="BLITZ_ADMIN_KEYS is not set"):
        Callers((CAM,)).admit_admin(show("first"))
    with pytest.raises(Forbidden, match=r"one of several workers.*BLITZ_WATCH_S"):
        Callers((), (BOSS,), changing=False).admit_admin(show("fourth"))


def test_a_key_that_stands_in_both_lists_is_an_admins() -> None:
    assert Callers((CAM,), (Key("boss", CAM.digest),)).admit(show("first")).admin


def test_a_slow_key_may_be_used_once_and_then_has_to_wait() -> None:
    caller = Callers((SLOW,)).admit(show("second"))
    caller.charge()
    with pytest.raises(RateLimited, match=r"0\.001 requests or frames a second") as caught:
        caller.charge()
    assert 990 < caught.value.retry_after_s <= 1000


def test_a_seconds_worth_may_come_at_once() -> None:
    caller = Callers((BURST,)).admit(show("third"))
    refused = [caller.count() is not None for _ in range(7)]
    assert refused[:5] == [False] * 5
    assert refused[6]


def test_what_is_refused_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("service.security.callers.time.monotonic", lambda: now)
    caller = Callers((BURST,)).admit(show("third"))
    assert [caller.count() for _ in range(5)] == [None] * 5
    assert all(caller.count() for _ in range(100))
    now += 0.21
    assert caller.count() is None
    assert caller.count() is not None


def test_a_key_that_was_not_used_saves_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("service.security.callers.time.monotonic", lambda: now)
    caller = Callers((BURST,)).admit(show("third"))
    caller.charge()
    now += 3600
    refused = [caller.count() is not None for _ in range(7)]
    assert refused == [False] * 5 + [True] * 2


def test_one_keys_rate_is_no_other_keys_business() -> None:
    callers = Callers((SLOW, CAM, BURST))
    callers.admit(show("second")).charge()
    for _ in range(1000):
        callers.admit(show("first")).charge()
    callers.admit(show("third")).charge()


def test_processes_that_share_cells_share_the_rate() -> None:
    cells = make_cells(2)
    first, second = (Callers((CAM, SLOW), cells=cells) for _ in range(2))
    first.admit(show("second")).charge()
    with pytest.raises(RateLimited):
        second.admit(show("second")).charge()
