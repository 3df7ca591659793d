"""The compare and agreement commands: two servers, or two load tests, in turns on the same machine.

Because they take turns, a machine that becomes slower slows both.

h2load comes with nghttp2 and is written in C (Debian: `apt install nghttp2-client`). It speaks HTTP/1.1 and
HTTP/2, and over HTTP/2 it sends a gRPC request as the framed message. It does not read gRPC's status: it can
only measure a server that answers every request well.
"""

import asyncio
import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pydantic import Field
from pydantic_settings import CliPositionalArg

from loadtest.commands.arguments import Clients, Found, RunArguments, ServerArguments
from loadtest.commands.loads import measure_closed
from loadtest.generators.loops import ClosedLoop, open_clients
from loadtest.generators.photos import choose_photos, sample_photos
from loadtest.generators.rpc import pack_native
from loadtest.measurement.harness import Harness, Setup, Stage, open_harness
from loadtest.measurement.row import Load, Row
from loadtest.measurement.server_process import serving
from loadtest.measurement.statistics import bootstrap_ratio
from loadtest.reports.content import Finding, Outcome, TextTable
from loadtest.reports.tables import show, show_bounds
from loadtest.types import CannotRun, Form, Photo, Target, Transport, to_query
from service.rpc.generated import segmentation_pb2 as messages

_ADDRESS = (
    "http(s)://HOST:PORT or grpc(s)://HOST:PORT, with oip+ before it for that protocol, "
    "and ?model=...&masks=...&score_threshold=... after it; or a checkout's folder: its server is started"
)
_JSON_VARYING = re.compile(rb',?"timings_ms":\{[^}]*\}|,"threads":\d+')
_RATE = re.compile(r"finished in [\d.]+m?s, ([\d.]+) req/s")
_GRPC_PREFIX = b"\0"  # not compressed; the length follows


class Compare(RunArguments):
    """Two servers in turns: ratios of throughput and latency, B over A."""

    a: CliPositionalArg[str] = Field(description=_ADDRESS)
    b: CliPositionalArg[str] = Field(description="the same")
    image: Path | None = Field(
        default=None, description="a photo, or a folder of photos; unset: three samples"
    )
    duration: float = Field(default=2.0, ge=0.1, le=86_400, description="seconds of each server in a round")
    warmup: float = Field(default=0.5, ge=0, le=86_400, description="seconds before each of these")
    rounds: int = Field(default=10, ge=2, le=1000, description="number of rounds")
    concurrency: Clients = Field(default=4, description="clients")
    transport: Transport = Field(default="rest", description="of the servers that are started")
    same_answers: bool = Field(
        default=False,
        description="fail unless both answer 16 photos with the same bytes, timings and threads aside",
    )

    async def run(self, stage: Stage) -> Found:
        """Measures without a baseline: each server is compared with the other one."""
        photos = choose_photos(self.image)
        async with contextlib.AsyncExitStack() as stack:
            targets = [self._find_server(address, stack) for address in (self.a, self.b)]
            side_a, side_b = [
                await stack.enter_async_context(
                    open_harness(
                        Setup(target, photos, self.models, "none", self.warmup, self.max_requests), stage
                    )
                )
                for target in targets
            ]
            same = (compare_answers(side_a, side_b),) if self.same_answers else ()
            rows_a, rows_b = await self.measure_rounds(side_a, side_b)
        rows = tuple(row for pair in zip(rows_a, rows_b, strict=True) for row in pair)
        return Found(Outcome(rows, (*same, *compare_rows(rows_a, rows_b))), (side_a, side_b))

    def _find_server(self, address: str, stack: contextlib.AsyncExitStack) -> Target:
        """The server at an address, or that of a checkout, which runs until the stack closes."""
        folder = Path(address)
        if not folder.is_dir():
            return self.parse(address)
        server = stack.enter_context(serving(folder / "models", checkout=folder))
        scheme, port = {"rest": ("http", server.http_port), "grpc": ("grpc", server.grpc_port)}[
            self.transport
        ]
        return self.parse(f"{scheme}://127.0.0.1:{port}")

    async def measure_rounds(self, side_a: Harness, side_b: Harness) -> tuple[list[Row], list[Row]]:
        """The rows of A and of B in rounds A B, B A, A B, ..."""
        rows: tuple[list[Row], list[Row]] = ([], [])
        async with (
            open_clients(side_a.setup.target, self.concurrency) as clients_a,
            open_clients(side_b.setup.target, self.concurrency) as clients_b,
        ):
            sides = (
                (side_a, ClosedLoop(clients_a, side_a.setup.photos), "A", rows[0]),
                (side_b, ClosedLoop(clients_b, side_b.setup.photos), "B", rows[1]),
            )
            for number in range(self.rounds):
                for harness, loop, side, measured in sides if number % 2 == 0 else sides[::-1]:
                    load = Load(f"{side} {number + 1}", clients=self.concurrency)
                    measured.append(await harness.measure(load, loop, seconds=self.duration))
                if side_a.stop.is_set():
                    break
        return rows


def compare_rows(rows_a: Sequence[Row], rows_b: Sequence[Row]) -> tuple[Finding, ...]:
    """B over A, round by round: throughput, and latency when every round of both has one."""
    pairs = list(zip(rows_a, rows_b, strict=True))
    return (
        _to_finding("throughput, B over A", [(a.throughput, b.throughput) for a, b in pairs]),
        _to_finding("p50 latency, B over A", [(a.latency.p50, b.latency.p50) for a, b in pairs]),
        _to_finding("p99 latency, B over A", [(a.latency.p99, b.latency.p99) for a, b in pairs]),
    )


def compare_answers(side_a: Harness, side_b: Harness) -> Finding:
    """The number of photos that both servers answered with the same bytes, timings and threads aside."""
    pairs = zip(side_a.answers, side_b.answers, strict=True)
    forms = side_a.setup.target.form, side_b.setup.target.form
    same = sum(remove_varying(forms[0], a) == remove_varying(forms[1], b) for a, b in pairs)
    count = len(side_a.answers)
    return Finding("photos with the same answer", same, "", target=f"all {count}", met=same == count)


def remove_varying(form: Form, answer: bytes) -> bytes:
    """The answer without its milliseconds and its number of threads, which depend on the other requests.

    >>> remove_varying(("native", "rest"), b'{"backend":{"runtime":"x","threads":2},"timings_ms":{"a":1}}')
    b'{"backend":{"runtime":"x"}}'
    """
    return _REMOVERS.get(form, bytes)(answer)


def _remove_from_message(answer: bytes) -> bytes:
    message = messages.SegmentResponse.FromString(answer)
    message.ClearField("timings_ms")
    message.backend.threads = 0
    return message.SerializeToString(deterministic=True)


_REMOVERS: Mapping[Form, Callable[[bytes], bytes]] = MappingProxyType(
    {
        ("native", "rest"): lambda answer: _JSON_VARYING.sub(b"", answer),
        ("native", "grpc"): _remove_from_message,
    }
)


def _to_finding(name: str, pairs: Sequence[tuple[float | None, float | None]]) -> Finding:
    known = [(a, b) for a, b in pairs if a and b]
    if not known or len(known) < len(pairs):
        return Finding(name, None, "times")
    ratio = bootstrap_ratio([b for _, b in known], [a for a, _ in known])
    return Finding(name, ratio.estimate, "times", low=ratio.low, high=ratio.high)


class Agreement(ServerArguments):
    """The same closed loop by h2load: does it measure the same?"""

    duration: float = Field(default=3.0, ge=1, le=86_400, description="seconds of each tool in a round")
    rounds: int = Field(default=5, ge=2, le=1000, description="number of rounds")
    concurrency: Clients = Field(default=4, description="clients")

    async def run(self, stage: Stage) -> Found:
        """Measures with one photo; raises CannotRun when h2load is absent or fails."""
        if shutil.which("h2load") is None:
            raise CannotRun("h2load is not installed (Debian: apt install nghttp2-client)")
        photo = sample_photos()[0]
        async with open_harness(self.setup((photo,), baseline="none"), stage) as harness:
            rows, rates = await self.measure_rounds(harness, photo)
        ours = [row.throughput for row in rows]
        return Found(Outcome(tuple(rows), tables=(to_table(ours, rates),)), (harness,))

    async def measure_rounds(self, harness: Harness, photo: Photo) -> tuple[list[Row], list[float]]:
        """This load test's rows, and h2load's requests per second."""
        rows, rates = list[Row](), list[float]()
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(self.rounds):
                if harness.stop.is_set() and rows:
                    break
                rows.append(await measure_closed(harness, self.concurrency, seconds=self.duration))
                command = build_command(harness.setup.target, photo, Path(folder) / "body")
                rates.append(
                    await asyncio.to_thread(
                        run_h2load, command, clients=self.concurrency, seconds=self.duration
                    )
                )
        return rows, rates


def build_command(target: Target, photo: Photo, body: Path) -> list[str]:
    """The arguments of h2load that send this photo; writes it to the file `body` in the transport's form."""
    headers = target.credentials.headers()
    if target.transport == "rest":
        body.write_bytes(photo.data)
        headers |= {"content-type": photo.media_type}
        url, http = f"{target.scheme}://{target.authority}/v1/segment", ["--h1"]
    else:
        message = pack_native(target.ask, photo)
        body.write_bytes(_GRPC_PREFIX + len(message).to_bytes(4, "big") + message)
        headers |= {"content-type": "application/grpc", "te": "trailers"}
        scheme = "https" if target.secure else "http"
        url, http = f"{scheme}://{target.authority}/blitzmask.v1.SegmentationService/Segment", []
    query = to_query(target.ask) if target.transport == "rest" else ""
    lines = [f"--header={name}: {value}" for name, value in headers.items()]
    return [*http, f"--data={body}", *lines, f"{url}?{query}" if query else url]


def run_h2load(command: Sequence[str], *, clients: int, seconds: float) -> float:
    """Requests per second; raises CannotRun when h2load fails or a request does."""
    options = ["--threads=1", f"--clients={clients}", "--max-concurrent-streams=1"]
    timing = [f"--duration={1e3 * seconds:.0f}ms", "--warm-up-time=200ms"]
    done = subprocess.run(["h2load", *options, *timing, *command], capture_output=True, text=True)
    found = _RATE.search(done.stdout)
    if found is None or " 0 failed, 0 errored" not in done.stdout or float(found[1]) == 0:
        raise CannotRun(f"h2load did not measure: {(done.stderr or done.stdout).strip()[-200:]}")
    return float(found[1])


def to_table(ours: Sequence[float], theirs: Sequence[float]) -> TextTable:
    """Mean rates, and h2load's over ours."""
    ratio = bootstrap_ratio(theirs, ours)
    means = (sum(rates) / len(rates) for rates in (ours, theirs))
    lines = (
        ("loadtest", show(next(means)), "1", "-"),
        ("h2load", show(next(means)), show(ratio.estimate, digits=3), show_bounds(ratio)),
    )
    return TextTable("the same load by two tools", ("tool", "req/s", "over ours", "95 %"), lines)
