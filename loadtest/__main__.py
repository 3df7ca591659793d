"""python -m loadtest: measure a segmentation server."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

_PACKAGES = ("matplotlib", "psutil", "skimage")  # that the service does without
_CANNOT = 2


def main(words: Sequence[str] | None = None) -> int:
    """The program's exit code; 2, with what to do, where a package is missing."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        print(
            f"loadtest: {', '.join(missing)} missing: `make install-dev` installs what a load test needs",
            file=sys.stderr,
        )
        return _CANNOT
    from loadtest import program

    return program.main(words)


if __name__ == "__main__":
    sys.exit(main())
