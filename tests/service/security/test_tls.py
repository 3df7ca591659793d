"""Certificate files, and the errors for those that cannot be used."""

import asyncio
import io
import json
import socket
import ssl
from pathlib import Path

import pytest

from service.errors import InvalidSetting
from service.process.server import Server
from service.security.tls import Tls, read_tls
from service.settings import Settings
from tests.certificates import Authority, Pair, make_authority, make_expired_pair, run_openssl


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("certificates"))


def test_nothing_is_no_tls() -> None:
    assert read_tls(None, None, None) is None


def test_a_certificate_with_its_key_is_taken_with_and_without_authorities(made: Authority) -> None:
    pair = made.server
    assert read_tls(pair.cert, pair.key, None) == Tls(pair.cert, pair.key)
    tls = read_tls(pair.cert, pair.key, made.ca)
    assert tls is not None
    assert tls.open_context().verify_mode.name == "CERT_REQUIRED"
    assert tls.open_credentials()


def test_old_versions_of_the_protocol_are_not_spoken(made: Authority) -> None:
    context = Tls(made.server.cert, made.server.key).open_context()
    assert context.minimum_version.name == "TLSv1_2"


@pytest.mark.parametrize("half", [("cert", None), (None, "key")])
def test_half_a_pair_is_refused(made: Authority, half: tuple[str | None, str | None]) -> None:
    cert, key = half
    with pytest.raises(InvalidSetting, match="it needs"):
        read_tls(made.server.cert if cert else None, made.server.key if key else None, None)


def test_clients_can_only_be_examined_over_tls(made: Authority) -> None:
    with pytest.raises(InvalidSetting, match=r"BLITZ_TLS_CLIENT_CA=.*it needs a certificate"):
        read_tls(None, None, made.ca)


@pytest.mark.parametrize("wrong", ["missing", "folder", "noise", "empty"])
@pytest.mark.parametrize("variable", ["BLITZ_TLS_CERT", "BLITZ_TLS_KEY", "BLITZ_TLS_CLIENT_CA"])
def test_a_file_that_is_not_what_it_should_be_is_named(
    made: Authority, tmp_path: Path, wrong: str, variable: str
) -> None:
    file = tmp_path / wrong
    if wrong == "folder":
        file.mkdir()
    elif wrong != "missing":
        file.write_bytes(b"\0noise" if wrong == "noise" else b"")
    files = {
        "BLITZ_TLS_CERT": made.server.cert,
        "BLITZ_TLS_KEY": made.server.key,
        "BLITZ_TLS_CLIENT_CA": made.ca,
    } | {variable: file}
    with pytest.raises(InvalidSetting, match=f"{variable}={file}: it (cannot be read|is no)"):
        read_tls(*files.values())


def test_a_key_of_another_certificate_is_told_from_one_that_is_broken(made: Authority) -> None:
    with pytest.raises(InvalidSetting, match=r"BLITZ_TLS_KEY=.*it does not belong to the certificate"):
        read_tls(made.server.cert, made.client.key, None)


def test_a_key_with_a_password_is_refused_and_not_asked_for(made: Authority, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    run_openssl("ec", "-in", str(made.server.key), "-aes128", "-passout", "pass:abcd", "-out", str(locked))
    with pytest.raises(InvalidSetting, match="or it has a password"):
        read_tls(made.server.cert, locked, None)


def name_of(port: int, ca: Path) -> str:
    """Whom the certificate names that is shown at a port."""
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("localhost", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        shown = wire.getpeercert()
    assert shown is not None
    return str(shown["subject"][0][0][1])


async def test_a_certificate_that_is_renewed_is_shown_from_the_next_handshake_on(
    made: Authority, tmp_path: Path
) -> None:
    pair = tmp_path / "cert.pem", tmp_path / "key.pem"
    put(made.server, *pair)
    settings = Settings(http_port=0, grpc_port=0, slots=1, stop_delay_s=0, drain_s=1)
    server = Server(settings.model_copy(update={"tls_cert": pair[0], "tls_key": pair[1]}))
    ports = await server.start()

    async def names() -> set[str]:
        return {await asyncio.to_thread(name_of, port, made.ca) for port in ports}

    assert await names() == {"server"}
    put(made.client, *pair)
    assert await names() == {"client"}
    pair[1].write_bytes(b"half a key")
    assert await names() == {"client"}
    put(made.server, *pair)
    assert await names() == {"server"}
    await server.stop()


def put(pair: Pair, cert: Path, key: Path) -> None:
    cert.write_bytes(pair.cert.read_bytes())
    key.write_bytes(pair.key.read_bytes())


@pytest.mark.parametrize("client_ca", [False, True])
def test_an_expired_certificate_says_so_when_it_is_loaded(
    made: Authority, tmp_path: Path, lines: io.StringIO, *, client_ca: bool
) -> None:
    pair = make_expired_pair(tmp_path)
    Tls(pair.cert, pair.key, made.ca if client_ca else None).open_context()
    line = json.loads(lines.getvalue())
    assert (line["event"], line["level"]) == ("certificate is refused by clients", "error")
    assert (line["cert"], line["reason"]) == (str(pair.cert), "certificate has expired")


@pytest.mark.parametrize("name", ["server", "stranger"])
def test_a_certificate_within_its_dates_says_nothing(made: Authority, lines: io.StringIO, name: str) -> None:
    pair: Pair = getattr(made, name)
    Tls(pair.cert, pair.key).open_context()
    assert lines.getvalue() == ""
