"""Minutes of good requests, alone and beside hostile ones in turn, and the state of the service after all."""

import contextlib
import http.client
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle

import psutil
from prometheus_client.parser import text_string_to_metric_families

from loadtest.measurement.host_stats import measure_use
from tests.e2e.serving.conftest import ROOT, Service
from tests.fuzz.attacks import Door, name_outcome
from tests.fuzz.hostile import ATTACKS
from tests.fuzz.requests import SEGMENT
from tests.fuzz.stalls import attack, find_door, open_attacker
from tests.fuzz.wire import PATIENCE_S

CLIENTS = 2
WINDOW_S = 10.0
PAUSE_S = 1.0  # between the starts of two hostile inputs
LEAST_SHARE = 0.9
ROUNDS = 4  # of all hostile inputs beside good requests before the soak; then no allocator keeps more
MOST_GROWTH = 0.05  # of memory, from the end of these rounds to the end of all
MARGIN = 3  # descriptors and threads
CALM_S = 12.0  # longer than the service waits for a head
EARLY = ("NotHttp", "HeadersTooLong")  # reasons of refusals before there is a request
PROBES = ("GET /healthz", "GET /metrics")
PHOTO = ROOT / "service" / "rest" / "page" / "samples" / "astronaut.jpg"


@dataclass(frozen=True, slots=True)
class State:
    """All processes of a service at rest: memory (PSS), descriptors, threads; and its open streams."""

    memory_mb: float
    descriptors: int
    threads: int
    streams: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Good answers in so many seconds."""

    answers: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.answers + other.answers, self.seconds + other.seconds)

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds


@dataclass
class Good:
    """Clients that ask for one photo, over and over; `said`: the outcomes, as the service counts them."""

    door: Door
    said: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Ask until it is over."""
        photo = PHOTO.read_bytes()
        connection = http.client.HTTPConnection("127.0.0.1", self.door.http_port, timeout=PATIENCE_S)
        while not self.over.is_set():
            connection.request("POST", SEGMENT, photo, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            self.said.append(f"rest {name_outcome(answer.status, answer.read())}")
        connection.close()

    @contextlib.contextmanager
    def counting(self) -> Iterator[list[Rate]]:
        """A list that holds, after the block, the good answers meanwhile."""
        counted: list[Rate] = []
        began, earlier = time.perf_counter(), len(self.said)
        yield counted
        counted.append(Rate(self.said[earlier:].count("rest ok"), time.perf_counter() - began))


@contextlib.contextmanager
def asking(door: Door) -> Iterator[Good]:
    """Clients that ask until the block ends."""
    good = Good(door)
    clients = [threading.Thread(target=good.ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield good
    finally:
        good.over.set()
        for client in clients:
            client.join()


def soak(service: Service, seconds: float) -> bool:
    """Whether good requests keep their throughput, counters agree, and all is back where it was."""
    with open_attacker() as attacker:
        door = find_door(service)
        with asking(door):  # so that every compute process has had its share of both
            for name in (*ATTACKS,) * ROUNDS:
                attacker.submit(attack, name, door).result()
        before, counted = _rest(service), read_counters(service)
        said, alone, beside = _alternate(door, attacker, seconds)
    after, counted = _rest(service), read_counters(service) - counted
    rates = alone.per_second, beside.per_second
    share = rates[1] / rates[0]
    print(f"good requests: {rates[0]:.1f}/s alone, {rates[1]:.1f}/s beside hostile ones: {share:.2f}")
    print(f"before: {before}\nafter:  {after}")
    return all((share >= LEAST_SHARE, _is_back(before, after), agree(said, counted)))


def read_counters(service: Service) -> Counter[str]:
    """The number of requests by outcome, and of connections that were rejected before they sent one."""
    found = Counter[str]()
    for family in text_string_to_metric_families(_scrape(service)):
        for sample in family.samples:
            if sample.name == "blitzmask_requests_total" and sample.labels["method"] not in PROBES:
                found[f"{sample.labels['transport']} {sample.labels['outcome']}"] += int(sample.value)
            if sample.name == "blitzmask_rejected_total" and sample.labels["reason"] in EARLY:
                found[f"rejected {sample.labels['reason']}"] += int(sample.value)
    return found


def _alternate(door: Door, attacker: ProcessPoolExecutor, seconds: float) -> tuple[Counter[str], Rate, Rate]:
    """The answers to all inputs, and the good answers without and with hostile inputs beside them in turn."""
    said, alone, beside = Counter[str](), Rate(), Rate()
    names, began = cycle(ATTACKS), time.perf_counter()
    with asking(door) as good:
        while time.perf_counter() - began < seconds:
            with good.counting() as counted:
                time.sleep(WINDOW_S)
            alone += counted[0]
            with good.counting() as counted:
                said += _attack_for(WINDOW_S, names, door, attacker)
            beside += counted[0]
    return said + Counter(good.said), alone, beside


def _attack_for(
    seconds: float, names: Iterator[str], door: Door, attacker: ProcessPoolExecutor
) -> Counter[str]:
    """Send one attack after the other for so long; what was said to them."""
    said, began = Counter[str](), time.perf_counter()
    while time.perf_counter() - began < seconds:
        sent = time.perf_counter()
        said += attacker.submit(attack, next(names), door).result()
        time.sleep(max(0.0, PAUSE_S - (time.perf_counter() - sent)))
    return said


def _rest(service: Service) -> State:
    """The state of a service that nobody asks for a while."""
    time.sleep(CALM_S)
    use = measure_use((service.process.pid,))
    assert use is not None, "the service has ended"
    front = psutil.Process(service.process.pid)
    threads = sum(process.num_threads() for process in (front, *front.children(recursive=True)))
    streams = re.search(r"^blitzmask_streams (\d+)", _scrape(service), re.MULTILINE)
    assert streams is not None
    return State(round(use.memory_mb, 1), use.descriptors, threads, int(streams[1]))


def _is_back(before: State, after: State) -> bool:
    return (
        after.memory_mb <= before.memory_mb * (1 + MOST_GROWTH)
        and after.descriptors <= before.descriptors + MARGIN
        and after.threads <= before.threads + MARGIN
        and after.streams == before.streams
    )


def agree(said: Counter[str], counted: Counter[str]) -> bool:
    """Whether the service has counted what was said; prints both where not."""
    wrong = {what for what in said | counted if said[what] != counted[what]}
    for what in sorted(said | counted):
        print(
            f"{said[what]:7} said, {counted[what]:7} counted: {what}{'  <- differs' if what in wrong else ''}"
        )
    return not wrong


def _scrape(service: Service) -> str:
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=PATIENCE_S) as answer:
        text: str = answer.read().decode()
    return text
