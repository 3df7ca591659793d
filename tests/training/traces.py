"""What a file tells of the machine that it was made on."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRACE = re.compile(
    rb"stack_trace|site-packages|/(?:Users|home|mnt|opt|root|srv|tmp|usr|var|work)/|" + re.escape(bytes(ROOT))
)


def find_traces(file: Path) -> set[bytes]:
    """Absolute paths, by how they begin, and what Python's tracebacks are made of."""
    return set(TRACE.findall(file.read_bytes()))
