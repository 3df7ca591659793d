"""python -m training: checks the data before torch is imported, which takes seconds; runs the command."""

import sys

from training.data.precheck import check_data


def main() -> None:
    """Runs the command of the command line."""
    check_data(sys.argv[1:])
    from training.commands import app  # imports torch

    app()


if __name__ == "__main__":
    main()
