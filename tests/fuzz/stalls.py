"""python -m tests.fuzz.stalls: the longest wait of a health check beside each hostile input, and its memory.

A health check costs the event loop next to nothing. So it waits for as long as an input keeps the event loop
from everything else. On Linux, the time in which other programs held the cores does not count.
"""

import argparse
import contextlib
import http.client
import multiprocessing
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.e2e.serving.conftest import Service, running
from tests.fuzz.attacks import Door
from tests.fuzz.hostile import ATTACKS
from tests.fuzz.wire import PATIENCE_S

PAUSE_S = 0.002  # between two health checks
LONGEST_S = 0.1


@dataclass
class Watch:
    """longest_s: the longest wait of a health check, without that for a core; raw_s: with it.

    peak_mb: the most memory of the front process.
    """

    longest_s: float = 0.0
    raw_s: float = 0.0
    peak_mb: float = 0.0


def main() -> int:
    """Exit code: 0 where every health check came within LONGEST_S, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.stalls", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of inputs (default: all)")
    parser.add_argument("--times", type=int, default=3, help="how often each is sent (default: %(default)s)")
    words = parser.parse_args()
    chosen = [name for name in ATTACKS if not words.names or any(part in name for part in words.names)]
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "log") as service,
        open_attacker() as attacker,
    ):
        service.wait_for("ready")
        worst = max(try_attack(service, attacker, name, times=words.times) for name in chosen)
    print(f"longest wait: {1000 * worst:.0f} ms")
    return 0 if worst < LONGEST_S else 1


@contextlib.contextmanager
def open_attacker() -> Iterator[ProcessPoolExecutor]:
    """One process that sends attacks, so that they share no interpreter with what measures."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as attacker:
        yield attacker


def attack(name: str, door: Door) -> Counter[str]:
    """Send one attack; what was said to it."""
    return ATTACKS[name](door)


def find_door(service: Service) -> Door:
    """The ports of a service."""
    return Door(service.http_port, int(service.target.rpartition(":")[2]))


def try_attack(service: Service, attacker: ProcessPoolExecutor, name: str, *, times: int) -> float:
    """The longest wait of a health check beside this attack, in seconds; prints a line."""
    door, said = find_door(service), Counter[str]()
    attacker.submit(attack, name, door).result()  # builds it, too, which takes the attacker some time
    with watching(service) as watch:
        for _ in range(times):
            said += attacker.submit(attack, name, door).result()
    answers = ", ".join(f"{count} {what}" for what, count in said.items())
    waits = f"{1000 * watch.longest_s:5.0f} ms ({1000 * watch.raw_s:.0f} with waits for a core)"
    print(f"{name:36} {waits} {watch.peak_mb:6.0f} MB  {answers}", flush=True)
    return watch.longest_s


@contextlib.contextmanager
def watching(service: Service) -> Iterator[Watch]:
    """The waiting times of health checks while the block runs."""
    watch, over = Watch(), threading.Event()
    thread = threading.Thread(target=_check_health, args=(service, watch, over))
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def _check_health(service: Service, watch: Watch, over: threading.Event) -> None:
    front = psutil.Process(service.process.pid)
    connection = http.client.HTTPConnection("127.0.0.1", service.http_port, timeout=PATIENCE_S)
    queues = Path(f"/proc/{front.pid}/schedstat"), Path("/proc/thread-self/schedstat")
    while not over.wait(PAUSE_S):
        queued, asked = sum(map(_read_wait, queues)), time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        spent, queued = time.perf_counter() - asked, sum(map(_read_wait, queues)) - queued
        watch.raw_s = max(watch.raw_s, spent)
        watch.longest_s = max(watch.longest_s, spent - queued)
        watch.peak_mb = max(watch.peak_mb, front.memory_info().rss / 1e6)
    connection.close()


def _read_wait(schedstat: Path) -> float:
    """Seconds for which a thread was ready to run and had no core; 0 where the system does not tell."""
    return int(schedstat.read_text().split()[1]) / 1e9 if schedstat.exists() else 0.0


if __name__ == "__main__":
    sys.exit(main())
