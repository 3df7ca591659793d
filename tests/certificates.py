"""Certificates that openssl makes for a test, of an authority that nobody else trusts."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PEM files."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """`ca` has signed the server and the client; the stranger has signed itself."""

    ca: Path
    server: Pair
    client: Pair
    stranger: Pair


def make_authority(folder: Path) -> Authority:
    """Skips the test where there is no openssl."""
    ca = make_pair(folder, "ca", "-addext", "basicConstraints=critical,CA:TRUE")
    signed = ("-CA", str(ca.cert), "-CAkey", str(ca.key))
    return Authority(
        ca.cert,
        make_pair(folder, "server", *signed),
        make_pair(folder, "client", *signed),
        make_pair(folder, "stranger"),
    )


def make_pair(folder: Path, name: str, *options: str) -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", str(pair.key), "-out", str(pair.cert)]
    about = ["-days", "2", "-subj", f"/CN={name}", "-addext", NAMES]
    run_openssl(*command[1:], *files, *about, *options)
    return pair


def make_expired_pair(folder: Path) -> Pair:
    pair, request = Pair(folder / "expired.pem", folder / "expired.key.pem"), str(folder / "request.pem")
    key, cert = str(pair.key), str(pair.cert)
    run_openssl(
        "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=x"
    )
    run_openssl("x509", "-req", "-in", request, "-signkey", key, "-days", "-1", "-out", cert)
    return pair


def run_openssl(*words: str) -> None:
    try:
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
