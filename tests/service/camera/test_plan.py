from pathlib import Path

import pytest

from service.camera.folder import Folder
from service.camera.plan import parse_source
from service.camera.video import NetworkCamera, VideoFile, Webcam
from service.errors import InvalidOption


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
