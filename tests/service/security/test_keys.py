"""Entries of the settings, and where callers put their keys."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.security.keys import (
    Key,
    find_key,
    hash_key,
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
