import io
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest

from service.camera.output import AnsweredFrame, JsonLines, Recording, Timing
from service.errors import InvalidImage
from service.rest.schemas import SegmentAnswer
from service.serving.streaming import RawImage
from service.types import Pixels, Size
from tests.fakes import encode_picture
from tests.service.camera.conftest import frame, result, segmentation

EXTRAS = ("frame_id", "capture_time_us", "age_ms", "dropped")


class Kept(io.BytesIO):
    """Can be read after it was closed."""

    content = b""

    def close(self) -> None:
        self.content = self.getvalue()
        super().close()


def test_each_answer_is_one_line_in_the_native_shape() -> None:
    file = Kept()
    lines = JsonLines(lambda: file, lambda number: None)
    for number in range(2):
        lines.write(AnsweredFrame(frame(number), result(number, 7)), fps=1.0)
    lines.close()
    first, second = (orjson.loads(line) for line in file.content.splitlines())
    assert [first.pop(key) for key in EXTRAS] == [0, 0, 5.0, 0]
    assert SegmentAnswer.model_validate(first).instances[0].track_id == 7
    assert second["frame_id"] == 1
    assert "path" not in second


def test_a_line_is_there_at_once() -> None:
    file = Kept()
    JsonLines(lambda: file, lambda number: f"{number}.jpg").write(
        AnsweredFrame(frame(3), result(3, error=InvalidImage("it is corrupt"))), fps=1.0
    )
    content = orjson.loads(file.getvalue())
    assert content == {
        "path": "3.jpg",
        "frame_id": 3,
        "capture_time_us": 3,
        "age_ms": 5.0,
        "dropped": 0,
        "error": "it is corrupt",
    }


def test_a_file_that_is_full_is_told() -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space"):  # noqa: PTH123
        JsonLines(lambda: full, lambda number: None).write(AnsweredFrame(frame(0), result(0)), fps=1.0)


GREY = RawImage("bgr", Size(48, 64), bytes([128]) * (48 * 64 * 3))


def picture(number: int, captured: float, raw: RawImage | bytes = GREY) -> AnsweredFrame:
    found = segmentation(1, size=Size(48, 64))
    plain = result(number)
    answer = type(plain)(plain.id, plain.captured_us, found, plain.age_ms, plain.queue_ms, plain.dropped)
    return AnsweredFrame(frame(number, captured=captured, picture=raw), answer)


def record(
    path: Path, answered: Iterable[AnsweredFrame], *, fps: float = 10.0, timing: Timing = "none"
) -> list[Pixels]:
    """The pictures of the video that comes of it."""
    recording = Recording(path, fps, timing)
    for each in answered:
        recording.write(each, fps=1.0)
    recording.close()
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(fps)
    pictures = []
    while (read := capture.read())[0]:
        pictures.append(np.asarray(read[1], np.uint8))
    capture.release()
    return pictures


def test_every_answer_is_one_picture_with_what_was_found(tmp_path: Path) -> None:
    pictures = record(tmp_path / "a.mp4", (picture(n, 7.0 * n) for n in range(4)))
    assert [image.shape for image in pictures] == [(48, 64, 3)] * 4
    for image in pictures:
        assert np.abs(image[40:, 50:].astype(int) - 128).max() < 12  # nothing there
        assert np.abs(image[:20, :30].astype(int) - 128).max() > 60  # box and label


def test_a_picture_stays_where_frames_were_dropped(tmp_path: Path) -> None:
    assert (
        len(record(tmp_path / "a.mp4", [picture(0, 0.0), picture(5, 0.5), picture(6, 0.6)], timing="live"))
        == 7
    )


@pytest.mark.parametrize("rate", [8, 10, 18, 30])
def test_a_video_lasts_as_long_as_the_camera_ran_however_fast_that_was(tmp_path: Path, rate: int) -> None:
    taken = [picture(n, n / rate) for n in range(4 * rate)]
    assert len(record(tmp_path / "a.mp4", taken, timing="live")) == pytest.approx(4 * 10, abs=2)


def test_a_picture_that_comes_a_little_early_or_late_is_kept(tmp_path: Path) -> None:
    times = (0.0, 0.06, 0.24, 0.25, 0.44, 0.46)
    taken = [picture(n, time) for n, time in enumerate(times)]
    assert len(record(tmp_path / "a.mp4", taken, timing="live")) == len(times)


def test_the_video_of_a_recording_keeps_its_time_and_every_picture(tmp_path: Path) -> None:
    times = (0.0, 0.01, 0.02, 0.03, 0.5, 0.51, 4.0, 9.0)  # bursts, and gaps that a camera's video leaves out
    taken = [picture(n, time) for n, time in enumerate(times)]
    assert len(record(tmp_path / "a.mp4", taken, timing="recorded")) == 9 * 10 + 1


def test_a_burst_at_the_end_of_a_recording_loses_no_picture(tmp_path: Path) -> None:
    taken = [picture(n, n / 100) for n in range(12)]
    assert len(record(tmp_path / "a.mp4", taken, timing="recorded")) == 12


def test_a_clock_that_is_set_back_stops_no_video(tmp_path: Path) -> None:
    times = (3600.0, 3600.1, 0.0, 0.1, 0.2, 0.3, *(n / 10 for n in range(4, 40)))
    taken = [picture(n, time) for n, time in enumerate(times)]
    assert len(record(tmp_path / "a.mp4", taken, timing="live")) > 20


def test_an_hour_away_is_left_out(tmp_path: Path) -> None:
    times = (0.0, 3600.0, 3600.1, 3600.2)
    answered = [picture(n, time) for n, time in enumerate(times)]
    assert len(record(tmp_path / "a.mp4", answered, timing="live")) == 1 + 20 + 3


def test_pictures_of_other_sizes_are_fitted_in(tmp_path: Path) -> None:
    wide = encode_picture(120, 30)
    failed = AnsweredFrame(frame(1, picture=wide), result(1, error=InvalidImage("no")))
    pictures = record(tmp_path / "a.mp4", [picture(0, 0.0), failed])
    assert [image.shape for image in pictures] == [(48, 64, 3)] * 2
    assert np.abs(pictures[1][30:].astype(int) - 127).max() < 12


def test_a_frame_without_a_picture_is_left_out(tmp_path: Path) -> None:
    corrupt = AnsweredFrame(frame(1, picture=b"text"), result(1, error=InvalidImage("no")))
    assert len(record(tmp_path / "a.mp4", [picture(0, 0.0), corrupt, picture(2, 0.2)])) == 2


def test_a_video_of_nothing_is_no_file_and_destroys_none(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    Recording(path, 10.0, "none").close()
    assert not path.exists()
    path.write_bytes(b"of yesterday")
    Recording(path, 10.0, "none").close()
    assert path.read_bytes() == b"of yesterday"


def test_a_video_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "missing" / "a.mp4", 10.0, "none")
    with pytest.raises(OSError, match=r"a\.mp4: a video of 64 x 48 pixels cannot be written there"):
        recording.write(picture(0, 0.0), fps=1.0)
