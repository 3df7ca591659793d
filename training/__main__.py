"""python -m training: checks the data of a command before torch is imported, then runs the command."""

import sys
from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from training.data.datasets import find_split, read_datasets, read_split, remembered_splits
from training.data.faults import DataRefused

REFUSED = 2  # exit status


def main() -> None:
    """Runs the command of the command line."""
    check_data(sys.argv[1:])
    from training.commands import app  # imports torch

    app()


def check_data(words: Sequence[str]) -> None:
    """Reads the data of a `train` or `evaluate` command line; the command does not read them again.

    Ends the process with a message and the status 2 if they cannot be used. Other mistakes in the command
    line are left to the command.
    """
    command = words[0] if words else ""
    asked = _parse(words[1:])
    if command not in ("train", "evaluate") or asked is None:
        return
    if not all(path.is_dir() for path in asked.data):
        return
    try:
        with remembered_splits():
            if command == "train":
                read_datasets(asked.data, asked.bad_data, licences=asked.licences)
            else:
                read_split(find_split(asked.data[-1], asked.split), asked.bad_data)
    except (DataRefused, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(REFUSED) from error


def _parse(words: Sequence[str]) -> Namespace | None:
    """The options that concern data; None if they are incomplete, or if the command only prints its help."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--split", default="val")
    parser.add_argument("--bad-data", default="skip", choices=("skip", "refuse"))
    parser.add_argument("--licences", default="all", choices=("all", "commercial"))
    try:
        asked, others = parser.parse_known_args(words)
    except (ArgumentError, SystemExit):
        return None
    return None if "--help" in others or not asked.data else asked


if __name__ == "__main__":
    main()
