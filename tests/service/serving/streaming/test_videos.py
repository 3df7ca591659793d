"""Identities on real videos, with the default model: the sample videos lie beside the repository."""

import itertools
from collections import Counter
from pathlib import Path

import pytest

from service.camera.video import VideoFile
from service.inference.backends import BackendChoice
from service.inference.images import Limits
from service.serving.admission import Admission
from service.serving.catalog import Catalog
from service.serving.engine import Engine
from service.serving.streaming import Frame, FrameResult, StreamOptions
from service.telemetry.metrics import Metrics
from service.types import Options, Segmentation

ROOT = Path(__file__).resolve().parents[4]
VIDEOS = ROOT.parent / "shared" / "data" / "video"
FRAMES = 60  # of each video: two seconds


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(ROOT / "models", default=None, choice=BackendChoice(), limits=Limits())


async def follow(catalog: Catalog, path: Path) -> list[Segmentation]:
    """The instances in the first frames of a video, with identities."""
    engine = Engine(Admission(1, 4), Metrics(), timeout_s=600)
    engine.use(catalog)
    capture = VideoFile(path).open()
    found: list[Segmentation] = []

    shots = enumerate(itertools.islice(iter(capture.read, None), FRAMES))

    async def read() -> Frame | None:
        number, shot = next(shots, (0, None))
        return None if shot is None else Frame(number, round((shot.time or 0) * 1e6), shot.picture)

    async def keep(result: FrameResult) -> None:
        assert isinstance(result.outcome, Segmentation), result.outcome
        found.append(result.outcome)

    options = StreamOptions(Options(masks="none"), policy="all", track=True)
    with engine.open_stream(options, None, None) as session:
        await session.run(read, keep)
    capture.close()
    engine.admission.close()
    return found


@pytest.mark.parametrize("name", ["01_dog.mp4", "bedroom.mp4"])
async def test_what_stays_in_sight_keeps_its_identity(catalog: Catalog, name: str) -> None:
    path = VIDEOS / name
    if not path.exists():
        pytest.skip(f"needs {path}")
    found = await follow(catalog, path)
    assert len(found) == FRAMES
    sightings = Counter(one.track_id for each in found for one in each.instances if one.track_id is not None)
    _, longest = sightings.most_common(1)[0]
    assert longest > 0.8 * FRAMES
    assert len(sightings) <= 2 + max(len(each.instances) for each in found)
