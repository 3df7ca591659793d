"""The command line: its words are parsed, the command runs, and a report and an exit code come out."""

import asyncio
import datetime
import signal
import sys
from collections.abc import Sequence

import uvloop
from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSubCommand,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    get_subcommand,
)
from rich.console import Console

from loadtest.commands.accuracy import Accuracy
from loadtest.commands.arguments import Arguments, Found
from loadtest.commands.batch import Batch
from loadtest.commands.compare import Agreement, Compare
from loadtest.commands.loads import Closed, Open, Ramp, Streams
from loadtest.commands.soak import Soak
from loadtest.commands.stages import Stages
from loadtest.commands.suite import Suite
from loadtest.measurement.harness import Stage
from loadtest.measurement.host_stats import describe_machine
from loadtest.measurement.load_run import Progress
from loadtest.reports.content import Report, SentPhoto, Server, list_warnings, write_json
from loadtest.reports.tables import print_report
from loadtest.types import CannotRun

_FAILED, _CANNOT_RUN, _INTERRUPTED = 1, 2, 130
_PIPE_COLUMNS = 160


class LoadTest(BaseSettings):
    """Load tests of a segmentation server."""

    model_config = SettingsConfigDict(
        cli_prog_name="python -m loadtest",
        cli_kebab_case=True,
        cli_implicit_flags="toggle",
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    closed: CliSubCommand[Closed] = Field(description=Closed.__doc__)
    open: CliSubCommand[Open] = Field(description=Open.__doc__)
    ramp: CliSubCommand[Ramp] = Field(description=Ramp.__doc__)
    soak: CliSubCommand[Soak] = Field(description=Soak.__doc__)
    streams: CliSubCommand[Streams] = Field(description=Streams.__doc__)
    compare: CliSubCommand[Compare] = Field(description=Compare.__doc__)
    accuracy: CliSubCommand[Accuracy] = Field(description=Accuracy.__doc__)
    stages: CliSubCommand[Stages] = Field(description=Stages.__doc__)
    batch: CliSubCommand[Batch] = Field(description=Batch.__doc__)
    suite: CliSubCommand[Suite] = Field(description=Suite.__doc__)
    agreement: CliSubCommand[Agreement] = Field(description=Agreement.__doc__)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line alone: no environment variable is an argument."""
        return (init_settings,)


def main(words: Sequence[str] | None = None) -> int:
    """Exit code: 0 measured; 1 nothing answered or a goal missed; 2 the run cannot start; 130 interrupted."""
    try:
        command = parse(sys.argv[1:] if words is None else words)
        report = uvloop.run(run(command))
        print_report(report, _choose_console())
        if command.json_file:
            write_json(report, command.json_file)
        if command.report:
            from loadtest.reports.page import write_folder  # matplotlib takes a second to import

            write_folder(report, command.report)
    except CannotRun as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return _CANNOT_RUN
    return judge(report)


def parse(words: Sequence[str]) -> Arguments:
    """The command with its arguments; raises CannotRun, or SystemExit after `--help`."""
    try:
        chosen = CliApp.run(LoadTest, cli_args=list(words), cli_exit_on_error=False)
        command = get_subcommand(chosen, cli_exit_on_error=False)
    except ValidationError as error:
        first = error.errors()[0]
        place = " ".join(str(part).replace("_", "-") for part in first["loc"][1:2])
        raise CannotRun(f"--{place}: {first['msg']}, not {first['input']!r}") from error
    except SettingsError as error:
        raise CannotRun(" ".join(str(error).split())) from error
    assert isinstance(command, Arguments)
    return command


async def run(command: Arguments) -> Report:
    """The command's report; Ctrl-C ends it early with the results so far."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    found = await command.run(Stage(Progress(Console(stderr=True)), stop))
    return Report(
        command=type(command).__name__.lower(),
        started_at=started_at,
        machine=describe_machine(),
        servers=tuple(Server(str(harness.setup.target), harness.served) for harness in found.harnesses),
        photos=_list_photos(found),
        outcome=found.outcome,
        warnings=_list_warnings(found),
        interrupted=stop.is_set(),
    )


def judge(report: Report) -> int:
    """The exit code of a run that measured something."""
    if report.interrupted:
        return _INTERRUPTED
    rows, findings = report.outcome.rows, report.outcome.findings
    answered = not rows or any(row.answered for row in rows)
    return 0 if answered and all(finding.met is not False for finding in findings) else _FAILED


def _choose_console() -> Console:
    """The terminal; a pipe gets lines long enough for every table."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_COLUMNS)


def _list_photos(found: Found) -> tuple[SentPhoto, ...]:
    """The photos, which all servers got."""
    photos = found.harnesses[0].setup.photos if found.harnesses else ()
    return tuple(SentPhoto(photo.name, len(photo.data)) for photo in photos)


def _list_warnings(found: Found) -> tuple[str, ...]:
    """The notes of the run, then the warnings about its rows."""
    notes = [note for harness in found.harnesses for note in harness.notes]
    return (*notes, *list_warnings(found.outcome.rows))
