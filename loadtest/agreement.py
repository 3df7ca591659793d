"""The same load by others: `python -m loadtest.agreement http://127.0.0.1:8000`.

A closed loop over REST by this load test, by wrk and by ab (Debian: `apt install wrk apache2-utils`), in
turns and with one photo, so that a machine that drifts meets all. Tools that are not installed are left out.
"""

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from rich.console import Console

from loadtest.addresses import check_allowed, parse_target
from loadtest.bootstrap import bootstrap_ratio
from loadtest.clients import Photo
from loadtest.closed import run_closed
from loadtest.errors import CannotRun
from loadtest.outcome import Sheet
from loadtest.progress import Progress
from loadtest.reports.tables import show
from loadtest.reports.terminal import to_table
from loadtest.samples import sample_photos
from loadtest.session import Session, Setup, open_session
from loadtest.targets import Target

_LUA = """wrk.method = "POST"; wrk.headers["Content-Type"] = "{media_type}"
local file = io.open("{path}", "rb"); wrk.body = file:read("*all"); file:close()
"""
_ENDLESS = str(10**7)  # requests: ab's time limit alone would end after 50,000


@dataclass(frozen=True, slots=True)
class Turn:
    """What every tool does: so many clients, for so many seconds, with the photo in a file of its own."""

    target: Target
    photo: Photo
    path: Path
    clients: int
    seconds: int

    @property
    def url(self) -> str:
        return f"{self.target.scheme}://{self.target.authority}/v1/segment"


def run_wrk(turn: Turn) -> float:
    """Requests per second."""
    script = turn.path.with_suffix(".lua")
    script.write_text(_LUA.format(media_type=turn.photo.media_type, path=turn.path))
    options = ["-t1", f"-c{turn.clients}", f"-d{turn.seconds}s", "-s", str(script)]
    return _run("wrk", *options, turn.url, figure=r"Requests/sec:\s+([\d.]+)")


def run_ab(turn: Turn) -> float:
    """Requests per second."""
    clients = ["-k", "-q", "-c", str(turn.clients), "-t", str(turn.seconds), "-n", _ENDLESS]
    photo = ["-T", turn.photo.media_type, "-p", str(turn.path)]
    return _run("ab", *clients, *photo, turn.url, figure=r"Requests per second:\s+([\d.]+)")


Tool: TypeAlias = Callable[[Turn], float]
TOOLS: Mapping[str, Tool] = MappingProxyType({"wrk": run_wrk, "ab": run_ab})


async def run_ours(session: Session, turn: Turn) -> float:
    """Good answers per second."""
    return (await run_closed(session, (turn.clients,), seconds=turn.seconds)).rows[0].throughput


async def measure_tools(turn: Turn, *, rounds: int) -> Mapping[str, Sequence[float]]:
    """Rates by tool, for those that are installed, each measured once in every round; raises CannotRun."""
    tools = {name: run for name, run in TOOLS.items() if shutil.which(name)}
    figures: dict[str, list[float]] = {name: [] for name in ("loadtest", *tools)}
    setup = Setup(turn.target, (turn.photo,), turn.path.parent, floor="none", warmup=0.2)
    progress = Progress(Console(stderr=True, quiet=True))
    async with open_session(setup, progress=progress, stop=asyncio.Event()) as session:
        for _ in range(rounds):
            figures["loadtest"].append(await run_ours(session, turn))
            for name, run in tools.items():
                figures[name].append(await asyncio.to_thread(run, turn))
    return figures


def to_sheet(figures: Mapping[str, Sequence[float]]) -> Sheet:
    """Mean rates, and those of the others over ours."""
    ours = figures["loadtest"]
    lines = []
    for name, rates in figures.items():
        ratio = bootstrap_ratio(rates, ours)
        bounds = f"{ratio.low:.3f}-{ratio.high:.3f}"
        lines.append((name, show(sum(rates) / len(rates)), show(ratio.estimate, digits=3), bounds))
    return Sheet("the same load by others", ("tool", "req/s", "over ours", "95 %"), tuple(lines))


def main(words: Sequence[str] | None = None) -> int:
    """Exit code: 0 compared, 2 it cannot be."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.agreement", description=__doc__)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each tool in a round")
    asked = parser.parse_args(words)
    try:
        target = parse_target(asked.url, timeout=30)
        check_allowed(target, allow_remote=False)
        with tempfile.TemporaryDirectory() as folder:
            photo = sample_photos()[0]
            path = Path(folder) / photo.name
            path.write_bytes(photo.data)
            turn = Turn(target, photo, path, asked.clients, asked.seconds)
            figures = asyncio.run(measure_tools(turn, rounds=asked.rounds))
    except CannotRun as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 2
    Console().print(to_table(to_sheet(figures)))
    return 0


def _run(*command: str, figure: str) -> float:
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(figure, done.stdout)
    if found is None:
        raise CannotRun(f"{command[0]} did not measure: {(done.stderr or done.stdout).strip()[-200:]}")
    return float(found[1])


if __name__ == "__main__":
    sys.exit(main())
