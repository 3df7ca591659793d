import io

import orjson
import pytest

from service.camera.output import AnsweredFrame, JsonLines
from service.errors import InvalidImage
from service.rest.schemas import SegmentAnswer
from tests.service.camera.conftest import frame, result

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
