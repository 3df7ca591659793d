"""Starts the service, asks it once and stops it: run in a network namespace that has nothing but loopback.

The command line is a picture's file, and then a command to run the service under, such as strace. The exit
status is 0 where the answer is 200 and the service stops as it should.
"""

import fcntl
import socket
import struct
import subprocess
import sys
from pathlib import Path

import httpx
import psutil

from tests.running import PATIENCE_S, ROOT, wait_until_ready

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
PNG = {"content-type": "image/png"}
URL = "http://127.0.0.1:8000"  # a new namespace has every port free


def main(picture: str, *under: str) -> int:
    raise_loopback()
    process = subprocess.Popen([*under, sys.executable, "-m", "service", "serve"], cwd=ROOT)
    wait_until_ready(process, f"{URL}/readyz")
    answer = httpx.post(
        f"{URL}/v1/segment", content=Path(picture).read_bytes(), headers=PNG, timeout=PATIENCE_S
    )
    find_service(process).terminate()
    return process.wait() or answer.status_code != 200


def raise_loopback() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def find_service(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The service itself, which is a child of the command that it runs under."""
    children = psutil.Process(process.pid).children()
    return children[0] if children else psutil.Process(process.pid)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
