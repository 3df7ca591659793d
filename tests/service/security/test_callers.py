"""Callers by their keys, and the rate of a key."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Forbidden, RateLimited, Unauthorized
from service.security.callers import (
    Callers,
    Key,
    find_key,
    hash_key,
    make_cells,
    make_key,
    parse_key,
    parse_keys,
    read_key,
    read_subprotocol_key,
)

HASH = hash_key("first")
KEYS = (Key("a", HASH), Key("b", hash_key("second")))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"cam-7:{HASH}", Key("cam-7", HASH)),
        (f" cam-7 : {HASH.upper()} ", Key("cam-7", HASH)),
        (f"cam-7:{HASH}:2.5", Key("cam-7", HASH, 2.5)),
        (HASH, Key(HASH[:8], HASH)),
        (f"{HASH}:10", Key(HASH[:8], HASH, 10)),
    ],
)
def test_an_entry_has_a_hash_and_may_have_a_name_and_a_rate(text: str, key: Key) -> None:
    assert parse_key(text) == key
    assert parse_key(str(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "first",
        f"{HASH[:-1]}",
        f"{HASH}0",
        f"two words:{HASH}",
        f":{HASH}",
        f"{'n' * 65}:{HASH}",
        f"n:{HASH}:1:2",
        f"n:{HASH}:0",
        f"n:{HASH}:-1",
        f"n:{HASH}:nan",
        f"n:{HASH}:inf",
        f"n:{HASH}:",
        f"n:{HASH}:fast",
    ],
)
def test_any_other_entry_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected name:hash|the rate has to be") as caught:
        parse_key(text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("second", [f"a:{hash_key('other')}", f"b:{HASH}"])
def test_two_keys_have_two_names_and_two_hashes(second: str) -> None:
    with pytest.raises(ValueError, match="entry 2 has the name or the hash of an earlier one"):
        parse_keys([f"a:{HASH}", second])


def test_the_wrong_one_of_several_is_named_by_its_place() -> None:
    with pytest.raises(ValueError, match="entry 2 is not a key"):
        parse_keys([f"a:{HASH}", "swordfish", f"b:{HASH}"])


def test_a_made_key_is_long_fits_a_header_and_is_found() -> None:
    keys = [make_key() for _ in range(20)]
    assert len(set(keys)) == 20
    for key in keys:
        assert len(key) > 40
        assert key.replace("_", "").replace("-", "").isalnum()
        assert find_key((Key("new", hash_key(key)),), key)


@pytest.mark.parametrize(("offered", "name"), [("first", "a"), ("second", "b")])
def test_a_known_key_is_found(offered: str, name: str) -> None:
    found = find_key(KEYS, offered)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("offered", ["", "third", "firstsecond", "First", HASH, "ß"])
def test_another_is_not(offered: str) -> None:
    assert find_key(KEYS, offered) is None
    assert find_key((), offered) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "first"},
        {"authorization": "Bearer first"},
        {"authorization": "bearer  first "},
        {"authorization": "Basic eDp5", "x-api-key": "first"},
        {"authorization": "Bearer first", "x-api-key": "third"},
    ],
)
def test_a_key_comes_in_either_header(headers: dict[str, str]) -> None:
    assert read_key(headers) == "first"


@pytest.mark.parametrize("headers", [{}, {"authorization": "first"}, {"authorization": "Bearer"}])
def test_elsewhere_it_is_not_looked_for(headers: dict[str, str]) -> None:
    assert read_key(headers) == ""


@given(st.text(min_size=1))
def test_a_browser_says_any_key_as_a_subprotocol(key: str) -> None:
    try:
        encoded = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
    except UnicodeEncodeError:
        return
    assert read_subprotocol_key(["blitzmask.v1", f"blitzmask.key.{encoded}"]) == key


@pytest.mark.parametrize(
    "name", ["blitzmask.key.", "blitzmask.key.A", "blitzmask.key._w", "blitzmask.key", "x"]
)
def test_what_is_no_key_as_a_subprotocol_is_none(name: str) -> None:
    assert read_subprotocol_key([name]) == ""


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
