"""python -m loadtest: measure a segmentation server."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

_PACKAGES = ("hdrh", "matplotlib", "psutil", "skimage")  # the service does not need them
_CANNOT_RUN = 2


def main(words: Sequence[str] | None = None) -> int:
    """The program's exit code; 2 with an instruction when a package is missing."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        print(
            f"loadtest: {', '.join(missing)} missing: `make install-dev` installs what a load test needs",
            file=sys.stderr,
        )
        return _CANNOT_RUN
    from loadtest.commands import cli

    return cli.main(words)


if __name__ == "__main__":
    sys.exit(main())
