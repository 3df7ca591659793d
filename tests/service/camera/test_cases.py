"""Videos from public bug reports of other tools; they lie beside the repository on some machines only."""

from pathlib import Path

import cv2
import pytest

from tests.service.camera.conftest import RestartableServer
from tests.service.camera.test_run import ROOT, start_camera

CASES = ROOT.parent / "shared" / "cases"
NOTHING, VARIABLE = CASES / "c01-av1-nothing-decoded", CASES / "c02-vfr-annotated"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is not here")


async def test_a_video_without_a_decoder_is_refused(server: RestartableServer, tmp_path: Path) -> None:
    video = NOTHING / "av1.mp4"
    process = await start_camera(
        video, "--server", server.address, "--fast", "--out", "r.jsonl", cwd=tmp_path
    )
    _, complaints = await process.communicate()
    assert process.returncode == 2
    assert b"no picture of it can be decoded; this OpenCV has no decoder for its codec" in complaints
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "frames", "seconds"), [("vfr.mkv", 20, 4.0), ("vfr.mp4", 20, 4.0), ("broken.avi", 17, 2.0)]
)
async def test_an_annotated_video_keeps_the_time_and_the_frames_of_its_source(
    server: RestartableServer, tmp_path: Path, name: str, frames: int, seconds: float
) -> None:
    outputs = ("--out", "v.mp4", "--out", "r.jsonl")
    process = await start_camera(
        VARIABLE / name, "--server", server.address, "--fast", *outputs, cwd=tmp_path
    )
    _, complaints = await process.communicate()
    assert process.returncode == 0, complaints
    assert len((tmp_path / "r.jsonl").read_bytes().splitlines()) == frames
    video = cv2.VideoCapture(str(tmp_path / "v.mp4"), cv2.CAP_FFMPEG)
    fps, count = video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)
    assert count >= frames
    assert count / fps == pytest.approx(seconds, abs=0.2)
