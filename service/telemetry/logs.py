"""Log output: one line per event, JSON for machines or coloured text for people, on standard output.

Our own events go straight to the stream, without the standard library: this takes a fifth of the time, and
every request writes a line. The events of libraries come through the standard library, in the same form.
"""

import json
import logging
import sys
from typing import Literal, TextIO, TypeAlias

import orjson
import structlog
from structlog.types import EventDict, Processor

from service.telemetry.line_writer import choose_writer

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["auto", "json", "console"]  # auto: console for a terminal, else json

# Below these levels, libraries report internal details, and mistakes of clients, which the answer reports.
LIBRARIES = {
    "asyncio": logging.WARNING,
    "grpc": logging.WARNING,
    "opentelemetry.trace": logging.ERROR,
    "python_multipart": logging.ERROR,
    "uvicorn.error": logging.ERROR,
}
# Characters of a value: clients choose many of them, such as a model's name.
LONGEST, LONGEST_TEXT, LONGEST_TRACEBACK = 200, 2_000, 20_000
TEXTS = {"event": LONGEST_TEXT, "reason": LONGEST_TEXT, "exception": LONGEST_TRACEBACK}


class LineHandler(logging.Handler):
    """Sends lines to a stream.

    A line that cannot be written, for example on a full disk, is lost; no request fails.
    """

    def __init__(self, stream: TextIO, *, encoding: str, threads: bool) -> None:
        super().__init__()
        self._encoding = encoding
        self._writer = choose_writer(stream, threads=threads)

    @property
    def dropped(self) -> int:
        """The number of lines that were lost because nobody read them."""
        return self._writer.dropped

    def write(self, line: str) -> None:
        self._writer.write(f"{line}\n".encode(self._encoding, "backslashreplace"))

    # structlog calls these, by level.
    debug = info = warning = error = critical = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write an event of the standard library's logging."""
        self.write(self.format(record))

    def flush(self) -> None:
        """Write the waiting lines; the standard library calls this when the process ends."""
        self._writer.flush()


def configure_logs(
    level: LogLevel, style: LogFormat, stream: TextIO = sys.stdout, *, threads: bool = True
) -> None:
    """Send the events of this process and of its libraries to `stream`; `threads`: one may be started."""
    if style == "auto":
        style = "console" if stream.isatty() else "json"
    logging.raiseExceptions = False
    begin: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    end = _finish(style, stream)
    encoding = "utf-8" if style == "json" else stream.encoding or "utf-8"
    lines = LineHandler(stream, encoding=encoding, threads=threads)
    clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    lines.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=begin, processors=[clean, *end]))
    root = logging.getLogger()
    root.handlers = [lines]
    root.setLevel(level.upper())
    for library, least in LIBRARIES.items():
        logging.getLogger(library).setLevel(max(least, root.level))
    structlog.configure(
        processors=[*begin, *end],
        logger_factory=lambda *name: lines,
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
    )


def count_dropped_lines() -> int:
    """The number of log lines of this process that were lost because nobody read them."""
    return sum(
        handler.dropped for handler in logging.getLogger().handlers if isinstance(handler, LineHandler)
    )


def _finish(style: LogFormat, stream: TextIO) -> list[Processor]:
    if style == "console":
        render = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        return [_cut_values, render]
    return [structlog.processors.format_exc_info, _cut_values, _render_json]


def _cut_values(logger: object, method: str, event: EventDict) -> EventDict:
    """The event with its long texts cut."""
    for name, value in event.items():
        if isinstance(value, str) and len(value) > LONGEST:
            event[name] = cut_text(value, TEXTS.get(name, LONGEST))
    return event


def cut_text(text: str, longest: int = LONGEST) -> str:
    """The text, with its middle left out where it is longer.

    >>> cut_text("a" * 10, 5)
    'aa...aa'
    """
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"


def _render_json(logger: object, method: str, event: EventDict) -> str:
    try:
        return orjson.dumps(event, default=_describe, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # orjson takes neither integers of more than 64 bits nor file names that are not UTF-8
        return json.dumps(event, default=_describe)


def _describe(value: object) -> str:
    return cut_text(str(value))
