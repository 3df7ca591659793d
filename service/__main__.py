"""The program: `blitzmask`, or `python -m service`. The commands are in `service.commands`.

To serve, it first starts the template of the compute processes, which needs longest to be there.
"""

import sys

import service.process.libraries  # noqa: F401  # sets how numpy, gRPC and ONNX Runtime behave
from service.compute.launch import close_ahead, launch_ahead

HELP = {"--help", "--version"}


def main() -> None:
    """Run a command. A mistake of the user is one line on standard error, and exit status 1 or 2."""
    if sys.platform == "linux" and _is_asked_to_serve(sys.argv[1:]):
        launch_ahead()
    try:
        from service.commands import run_command

        run_command()
    finally:
        close_ahead()


def _is_asked_to_serve(arguments: list[str]) -> bool:
    """Whether arguments are those of `serve`, which is also the command where none is named.

    >>> _is_asked_to_serve(["serve", "--port", "80"])
    True
    """
    return arguments[:1] in ([], ["serve"]) and HELP.isdisjoint(arguments)


if __name__ == "__main__":
    main()
