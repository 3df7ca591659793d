"""The agreement command: the same closed loop by this load test and by h2load, in turns.

h2load comes with nghttp2 and is written in C (Debian: `apt install nghttp2-client`). It speaks HTTP/1.1 and
HTTP/2, and over HTTP/2 it sends a gRPC request as the framed message. It does not read gRPC's status: it can
only measure a server that answers every request well.
"""

import asyncio
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from loadtest.commands.arguments import Clients, Found, ServerArguments
from loadtest.commands.loads import measure_closed
from loadtest.generators.photos import sample_photos
from loadtest.generators.rpc import pack_native
from loadtest.measurement.harness import Harness, Stage, open_harness
from loadtest.measurement.row import Row
from loadtest.measurement.statistics import bootstrap_ratio
from loadtest.reports.content import Outcome, TextTable
from loadtest.reports.tables import show, show_bounds
from loadtest.types import CannotRun, Photo, Target, to_query

_RATE = re.compile(r"finished in [\d.]+m?s, ([\d.]+) req/s")
_GRPC_PREFIX = b"\0"  # not compressed; the length follows


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
