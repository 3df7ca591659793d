"""Traces of the exporting machine in a file."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TRACE = re.compile(
    rb"stack_trace|site-packages|/(?:Users|home|mnt|opt|root|srv|tmp|usr|var|work)/|" + re.escape(bytes(ROOT))
)


def find_traces(file: Path) -> set[bytes]:
    """The beginnings of absolute paths, and parts of Python's tracebacks."""
    return set(TRACE.findall(file.read_bytes()))
