from pathlib import Path

import pytest

from service.camera.folder import Folder
from service.camera.link import Asked
from service.camera.plan import CameraPlan, check_outputs, open_output, parse_source
from service.camera.video import NetworkCamera, VideoFile, Webcam
from service.errors import InvalidOption
from service.streaming import StreamOptions
from tests.service.camera.conftest import FakeSource


def test_a_source_is_told_by_its_looks(tmp_path: Path) -> None:
    clip, image = tmp_path / "clip.mp4", tmp_path / "a.jpg"
    clip.touch()
    image.touch()
    assert parse_source("2") == Webcam(2)
    assert parse_source("rtsp://door:554/live") == NetworkCamera("rtsp://door:554/live")
    assert parse_source(str(clip)) == VideoFile(clip)
    assert parse_source(str(tmp_path)) == Folder(tmp_path, (image,))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://user:secret@door/a.mp4", "ftp://: a source's address is one of rtsp, rtsps, http, https://"),
        ("rtsp:///live", "rtsp://: a source's address"),
        ("missing.mp4", "missing.mp4: there is no such file"),
        ("-1", "-1: there is no such file; a webcam is a number"),
        ("²", "there is no such file"),
        ("", "there is no such file"),
    ],
)
def test_a_source_of_no_kind_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_source(text)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="has no images"):
        parse_source(str(tmp_path))


@pytest.mark.parametrize("text", ["kafka://hub", "out.avi", "", "jsonl2", "MQTT", "mqtt:hub"])
def test_an_output_of_no_kind_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="--out"):
        check_outputs([text])


def test_one_output_twice_is_refused() -> None:
    check_outputs(["jsonl", "video", "a.jsonl", "b.MP4", "mqtt://hub"])
    with pytest.raises(InvalidOption, match="named twice"):
        check_outputs(["jsonl", "video", "jsonl"])


def test_an_output_that_cannot_be_written_is_told_before_anything_begins(tmp_path: Path) -> None:
    plan = CameraPlan(FakeSource([]), "localhost:1", (), Asked(StreamOptions()))
    for name in ("a.mp4", "a.jsonl"):
        with pytest.raises(InvalidOption, match=rf"--out .*{name}: no such file or directory"):
            open_output(str(tmp_path / "missing" / name), plan, 10.0)


def test_the_video_of_a_source_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = CameraPlan(parse_source("rtsp://door/live/1"), "localhost:1", (), Asked(StreamOptions()))
    output = open_output("video", plan, 10.0)
    assert [path.name for path in tmp_path.iterdir()] == ["1-annotated.mp4"]
    output.close()
    assert list(tmp_path.iterdir()) == []
