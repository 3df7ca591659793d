"""Jobs over small pictures with the toy model."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from service.batch.outputs import parse_output
from service.batch.progress import Progress
from service.batch.run import BatchPlan, run_batch
from service.batch.sources import Source
from service.settings import read_settings
from service.types import Options
from tests.fakes import encode_picture

COUNT = 20  # pictures, one of which is bad
Run = Callable[..., Awaitable[int]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Pictures of several sizes, and a file that only looks like one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(COUNT):
        (folder / f"{number:02d}.png").write_bytes(encode_picture(60 + number, 40))
    (folder / "07.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def run(toy_folder: Path) -> Run:
    """Runs a job with two slots as threads; gives the number of bad files."""

    async def run(place: object, output: Path, **options: Any) -> int:
        settings = read_settings(
            models_dir=toy_folder.parent, runtime="onnx", slots=2, slots_in="threads", memory_mb=0
        )
        source = Source(str(place), settings.limits.max_bytes, options.pop("ids", None))
        plan = BatchPlan(
            source,
            parse_output(str(output), options.get("masks", "rle")),
            Options(**{"score_threshold": 0.1, **options}),
        )
        return await run_batch(plan, settings, Progress(Console(quiet=True)))

    return run
