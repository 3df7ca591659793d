"""A command from its words to its report and exit code."""

import argparse
import asyncio
import datetime
import signal
import sys
from collections.abc import Sequence

import uvloop
from rich.console import Console

from loadtest.arguments import build_parser
from loadtest.commands import COMMANDS, Found
from loadtest.doubts import list_doubts
from loadtest.errors import CannotRun
from loadtest.machine import describe_machine
from loadtest.progress import Progress
from loadtest.reports.content import Report, SentPhoto, Server, write_json
from loadtest.reports.terminal import print_report
from loadtest.scene import Scene

_NOTHING, _CANNOT, _INTERRUPTED = 1, 2, 130
_PIPE = 160  # columns


def main(words: Sequence[str] | None = None) -> int:
    """Exit code: 0 measured, 1 nothing answered or a target missed, 2 it cannot run, 130 interrupted."""
    arguments = build_parser().parse_args(words)
    try:
        report = uvloop.run(run(arguments))
        print_report(report, choose_console())
        if arguments.json:
            write_json(report, arguments.json)
        if arguments.report:
            from loadtest.reports.folder import write_folder  # matplotlib takes a second to load

            write_folder(report, arguments.report)
    except CannotRun as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return _CANNOT
    return judge(report)


async def run(arguments: argparse.Namespace) -> Report:
    """The command's report; Ctrl-C ends it early with what there is."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    found = await COMMANDS[arguments.command](arguments, Scene(Progress(Console(stderr=True)), stop))
    return Report(
        command=arguments.command,
        started_at=started_at,
        machine=describe_machine(),
        servers=tuple(Server(str(session.setup.target), session.served) for session in found.sessions),
        photos=list_photos(found),
        outcome=found.outcome,
        warnings=list_warnings(found),
        interrupted=stop.is_set(),
    )


def choose_console() -> Console:
    """The terminal; a pipe gets lines long enough for every table."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE)


def list_photos(found: Found) -> tuple[SentPhoto, ...]:
    """What was sent, to all servers alike."""
    photos = found.sessions[0].setup.photos if found.sessions else ()
    return tuple(SentPhoto(photo.name, len(photo.data)) for photo in photos)


def list_warnings(found: Found) -> tuple[str, ...]:
    """What the sessions noted, then what is doubtful about the rows."""
    notes = [note for session in found.sessions for note in session.notes]
    return (*notes, *list_doubts(found.outcome.rows))


def judge(report: Report) -> int:
    """The exit code of a run that could be made."""
    if report.interrupted:
        return _INTERRUPTED
    rows, findings = report.outcome.rows, report.outcome.findings
    answered = not rows or any(row.answered for row in rows)
    return 0 if answered and all(finding.met is not False for finding in findings) else _NOTHING
