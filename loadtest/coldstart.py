"""From the start of a server's process to its first good answer, and what its imports alone weigh."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from loadtest.clients import OK, Photo, open_client
from loadtest.errors import CannotRun
from loadtest.serving import serving
from loadtest.targets import Target

_RETRY = 0.002  # seconds
_PATIENCE = 60.0
_IMPORTS = "import service.process.server, onnxruntime, psutil; print(psutil.Process().memory_info().rss)"


async def measure_cold_start(models: Path, photo: Photo) -> float:
    """Seconds; raises CannotRun when no good answer comes."""
    with serving(models, ready=False) as server:
        client = open_client(Target("rest", "127.0.0.1", server.http_port))
        try:
            while (answer := await client.send(photo)).kind != OK:
                if time.perf_counter() - server.started > _PATIENCE:
                    raise CannotRun(f"no good answer within {_PATIENCE:g} s of the start: {answer.kind}")
                await asyncio.sleep(_RETRY)
            return time.perf_counter() - server.started
        finally:
            await client.close()


def measure_imports_mb() -> float:
    """Resident memory of a Python that has imported what the server imports, and done nothing."""
    result = subprocess.run(
        [sys.executable, "-c", _IMPORTS], capture_output=True, check=True, text=True, start_new_session=True
    )  # Ctrl-C is the load test's to handle
    return int(result.stdout) / 2**20
