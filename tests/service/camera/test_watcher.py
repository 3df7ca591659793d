"""Events of a camera's answers, their snapshots, and the outputs of files."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from service.camera.event_output import EventLines, SnapshotFolder
from service.camera.output import AnsweredFrame, Notice, answered_to_json
from service.camera.watcher import Watcher
from service.errors import InvalidImage
from service.events.scene import Scene, Zone
from service.frames import FrameResult, RawImage
from service.types import Instance, Segmentation, Size
from tests.service.camera.conftest import BACKEND, frame, result

SIZE = Size(40, 80)
WHOLE = Zone("all", ((0, 0), (1, 0), (1, 1), (0, 1)))


def answered(second: int, *instances: Instance, grey: int = 0) -> AnsweredFrame:
    """An answered frame of one colour."""
    pixels = np.full((SIZE.height, SIZE.width, 3), grey, np.uint8)
    outcome = Segmentation(SIZE, instances, "toy", "1", BACKEND)
    return AnsweredFrame(
        frame(second, captured=float(second), picture=RawImage("bgr", SIZE, pixels.tobytes())),
        FrameResult(second, second, outcome, age_ms=5.0, queue_ms=1.0, dropped=0),
    )


def cat(size: int, *, track_id: int = 1) -> Instance:
    return Instance("cat", 3, 0.5, (10, 10, size, size), None, None, track_id)


def watch_one_cat(*, snapshots: bool) -> Notice:
    """The notice of the end, after a cat was small, large and small again in brighter and brighter frames."""
    watcher = Watcher(Scene((WHOLE,)), memory_s=1.0, snapshots=snapshots)
    for second, (size, grey) in enumerate([(10, 50), (20, 100), (10, 150)]):
        watcher.see(answered(second, cat(size), grey=grey))
    return watcher.end()


def decode(jpeg: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))


def test_a_gone_object_leaves_the_best_of_its_frames_drawn_and_cropped() -> None:
    snapshot = watch_one_cat(snapshots=True).snapshots[1]
    drawn, crop = decode(snapshot.drawn), decode(snapshot.crop)
    assert drawn.shape == (40, 80, 3)
    assert crop.shape == (24, 24, 3)  # the box of 20 x 20 and a rim of a tenth on each side
    assert abs(int(np.median(crop)) - 100) <= 2
    assert np.ptp(drawn) > 50  # the box and the label


def test_without_a_taker_no_picture_is_kept() -> None:
    notice = watch_one_cat(snapshots=False)
    assert [event.kind for event in notice.report.events] == ["left", "gone"]
    assert notice.snapshots == {}


def test_an_answer_carries_its_events_and_counts() -> None:
    seen, notice = Watcher(Scene((WHOLE,)), memory_s=1.0, snapshots=False).see(answered(3, cat(10)))
    assert notice is not None
    content = answered_to_json(seen, lambda number: None)
    assert [event["event"] for event in content["events"]] == ["new", "entered"]  # type: ignore[attr-defined]
    assert content["zones"] == {"all": {"present": {"cat": 1}, "entered": {"cat": 1}}}


def test_a_frame_that_failed_tells_nothing() -> None:
    failed = AnsweredFrame(frame(1), result(1, error=InvalidImage("no")))
    assert Watcher(Scene(), memory_s=1.0, snapshots=True).see(failed) == (failed, None)


class KeptFile(io.BytesIO):
    """Keeps what was written when it is closed."""

    def close(self) -> None:
        self.content = self.getvalue()
        super().close()


def test_events_are_written_line_by_line_with_the_name_of_the_camera() -> None:
    file = KeptFile()
    output = EventLines(lambda: file, "door")
    output.tell(watch_one_cat(snapshots=False))
    output.close()
    lines = [json.loads(line) for line in file.content.splitlines()]
    assert [(line["camera"], line["event"], line["track_id"]) for line in lines] == [
        ("door", "left", 1),
        ("door", "gone", 1),
    ]
    assert lines[0]["zone"] == "all"
    assert lines[1]["seconds"] == 2.0


def test_a_folder_receives_both_pictures_under_the_name_of_the_camera(tmp_path: Path) -> None:
    output = SnapshotFolder(tmp_path / "cats", "nvr/Door 1")
    notice = watch_one_cat(snapshots=True)
    output.tell(notice)
    names = sorted(path.name for path in (tmp_path / "cats").iterdir())
    assert names == ["nvr-Door-1-2000-1-crop.jpg", "nvr-Door-1-2000-1.jpg"]
    assert (tmp_path / "cats" / names[0]).read_bytes() == notice.snapshots[1].crop


def test_a_folder_that_cannot_be_made_is_an_error_of_the_output(tmp_path: Path) -> None:
    (tmp_path / "cats").touch()
    with pytest.raises(OSError, match="cats"):
        SnapshotFolder(tmp_path / "cats", "door").tell(watch_one_cat(snapshots=True))
