from pathlib import Path

import pytest

from loadtest.addresses import check_allowed, check_target, parse_address, parse_target, parse_url
from loadtest.errors import CannotRun
from loadtest.targets import Ask, Target
from service.client.credentials import Credentials
from service.types import Options


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000, False)),
        ("http://localhost:8000/", ("localhost", 8000, False)),
        ("http://board", ("board", 80, False)),
        ("https://board", ("board", 443, True)),
        ("http://[::1]:9", ("::1", 9, False)),
    ],
)
def test_a_url_gives_host_and_port(url: str, expected: tuple[str, int, bool]) -> None:
    assert parse_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "ftp://a",
        "http://",
        "http://a:x",
        "http://a:99999",
        "http://a/v1/segment",
        "http://a?b",
    ],
)
def test_what_is_no_url_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(CannotRun) as refusal:
        parse_url(url)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("address", ["", "8001", "localhost", "http://a:1", "a:b", "a:0", ":8001", "a:1/x"])
def test_what_is_no_address_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(CannotRun) as refusal:
        parse_address(address)
    assert "\n" not in str(refusal.value)


def test_a_key_goes_to_both_of_two_servers_and_certificates_to_the_one_that_speaks_tls(
    tmp_path: Path,
) -> None:
    shown = Credentials("k", cert=tmp_path / "absent.pem")
    assert parse_target("http://a:1", timeout=9, credentials=shown).credentials == Credentials("k")
    with pytest.raises(CannotRun, match="absent"):
        parse_target("https://a:1", timeout=9, credentials=shown)


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        (Target("rest", "a", 1, protocol="oip"), "--model"),
        (Target("rest", "a", 1, credentials=Credentials(ca=Path("ca.pem"))), "https or grpcs"),
        (Target("rest", "a", 1, credentials=Credentials("@/absent/key")), "absent"),
    ],
)
def test_what_cannot_be_spoken_is_refused_in_one_line(target: Target, fault: str) -> None:
    with pytest.raises(CannotRun, match=fault) as refusal:
        check_target(target)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_this_machine_may_be_loaded(host: str) -> None:
    check_allowed(Target("rest", host, 1), allow_remote=False)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "0.0.0.0", "example.org", "localhost.example.org", "127.0.0.1.nip.io"]
)
def test_another_machine_only_with_leave(host: str) -> None:
    with pytest.raises(CannotRun, match="--allow-remote"):
        check_allowed(Target("rest", host, 1), allow_remote=False)
    check_allowed(Target("rest", host, 1), allow_remote=True)


def test_a_target_says_what_to_ask_and_can_be_written_back() -> None:
    address = "http://127.0.0.1:8000?model=m&score_threshold=0.25&max_instances=7&masks=none"
    target = parse_target(address, timeout=9)
    assert target.ask == Ask("m", Options(score_threshold=0.25, max_instances=7, masks="none"))
    assert (target.transport, target.host, target.port, target.timeout) == ("rest", "127.0.0.1", 8000, 9)
    assert str(target) == address
    assert parse_target("grpc://[::1]:8001", timeout=9).authority == "[::1]:8001"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:8000",
        "ws://a:1",
        "http://a",
        "http://a:1/v1",
        "http://a:x",
        "http://a:1?quality=9",
        "http://a:1?score_threshold=high",
        "http://a:1?max_instances=1.5",
        "http://a:1?masks=png",
        "oip+http://a:1",
        "oip+ws://a:1?model=m",
    ],
)
def test_what_is_no_target_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(CannotRun) as refusal:
        parse_target(address, timeout=9)
    assert "\n" not in str(refusal.value)
