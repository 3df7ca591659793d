"""The journal of a job: its plan, then one line for each picture that is done, in the input's order.

A job that was killed goes on after the last complete line. So every picture is there exactly once, and the
output is that of a job that was never killed.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson

from service.batch.sources import Item
from service.errors import InvalidOption
from service.inference.documents import Json, answer_to_json
from service.types import Answer


@dataclass(frozen=True, slots=True)
class Row:
    """One line, and what it holds: the name of a picture, and its answer or the error that it gave."""

    line: bytes
    content: dict[str, Any]

    @property
    def failed(self) -> bool:
        return line_failed(self.line)


def render_row(item_name: str, image_id: int, answer: Answer) -> bytes:
    """The line of an answer; the times are left out, because they differ from run to run."""
    content = answer_to_json(answer)
    del content["timings_ms"], content["backend"]
    return orjson.dumps({"file": item_name, "image_id": image_id, **content})


def render_failure(item_name: str, error: Exception) -> bytes:
    """The line of a picture that has no answer."""
    return orjson.dumps({"error": str(error), "file": item_name})


def line_failed(line: bytes) -> bool:
    """Whether a line is one of `render_failure`."""
    return line.startswith(b'{"error"')


class Journal:
    """A journal that one job at a time may write."""

    def __init__(self, path: Path, plan: Json) -> None:
        """Opens the journal of this plan, or begins one.

        Raises InvalidOption where it belongs to another plan, or another job writes it.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._start = self._check_plan(orjson.dumps(plan) + b"\n")
            self.done, self.failures = self._cut_broken_line()
        except BlockingIOError:
            self._file.close()
            raise InvalidOption(f"another job is writing {path}: wait for its end") from None
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, line: bytes) -> None:
        """Write the line of the next picture, all of it or nothing where this process is killed.

        A line that another crash has cut is removed when the journal is opened again.
        """
        self._file.write(line + b"\n")
        self._file.flush()
        self.done += 1
        self.failures += line_failed(line)

    def rows(self) -> Iterator[Row]:
        """Every line; one of them is in memory at a time."""
        with self.path.open("rb") as file:
            file.seek(self._start)
            for line in file:
                yield Row(line, orjson.loads(line))

    def skip_done(self, items: Iterable[Item]) -> Iterator[Item]:
        """The pictures that are not done; raises InvalidOption where those that are done are others."""
        rest = iter(items)
        for row in self.rows():
            item = next(rest, None)
            if item is None or item.name != row.content["file"]:
                found = "the input has ended" if item is None else f"it is {item.name} now"
                raise InvalidOption(
                    f"the input has changed since this job began: {row.content['file']} was next, {found}; "
                    f"delete {self.path} to start again"
                )
        yield from rest

    def remove(self) -> None:
        """Delete the journal: the output is complete."""
        self.path.unlink()

    def _check_plan(self, plan: bytes) -> int:
        """The place of the first line after the plan; writes the plan into a new journal."""
        found = self._file.readline()
        if not found.endswith(b"\n"):  # new, or killed before its first line was whole
            self._file.seek(0)
            self._file.truncate()
            self._file.write(plan)
            self._file.flush()
        elif found != plan:
            raise InvalidOption(
                f"{self.path} belongs to a job with other options, {found.decode().strip()}: repeat those to "
                "finish it, or delete the file to start again"
            )
        return len(plan)

    def _cut_broken_line(self) -> tuple[int, int]:
        """The numbers of pictures and of failures; removes the end of a file that was cut in a line."""
        done = failures = 0
        end = self._start
        self._file.seek(end)
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            done, failures, end = done + 1, failures + line_failed(line), end + len(line)
        self._file.seek(end)
        self._file.truncate()
        return done, failures
