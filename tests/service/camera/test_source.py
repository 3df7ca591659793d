from pathlib import Path

import pytest

from service.camera.plan import parse_source
from service.camera.source import Folder, Shot, SourceLost, list_images
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


@pytest.mark.parametrize("text", ["/dev/v4l/by-id/usb-046d_HD_Webcam-video-index0", "/dev/null"])
def test_a_webcam_may_be_named_by_its_device_because_numbers_change_at_each_boot(text: str) -> None:
    webcam = parse_source(text)
    assert webcam == Webcam(text)
    assert webcam.name.endswith("/" + Path(text).name)
    with pytest.raises(SourceLost, match=f"webcam {text} cannot be opened"):
        webcam.open()


ADDRESSES = [
    "rtsp://admin:hunter/2@door/live",
    "rtsp://admin:hunter?2@door/live",
    "rtsp://admin:hunter#2@door/live",
    "rtsp://admin:hunter@2@door/live",
    "rtsp://admin:hunter@2#1@door/live",
    "rtsp://admin:hunter%2@door/live",
    "rtsp://admin:hunter[2@door/live",
    "rtsp://admin:hunter 2@door/live",
    "rtsp://admin:hunter\t2@door/live",
    "http://proxy/get?src=rtsp://admin:hunter2@door/live",
]


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_that_needs_percent_encoding_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidOption, match=r"percent-encode these characters.* / is %2F") as caught:
        parse_source(text)
    assert "hunter" not in str(caught.value)
    assert "admin" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp:/admin:hunter2@door/live",
        "rtsp//admin:hunter2@door/live",
        "admin:hunter2@door",
        "door/live?password=hunter2",
        "rtsp://admin:hunter2@door:port/live",
        "rtsp://admin:hunter2@/live",
        "ftp://admin:hunter2@door/live",
        "admin:hunter2@door://live",
    ],
)
def test_no_message_about_a_mistyped_address_shows_its_password(text: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_source(text)
    assert "hunter" not in str(caught.value)


def test_an_address_with_an_encoded_password_is_taken_as_it_is() -> None:
    url = "rtsp://admin:hunter%2F2@door/live"
    assert parse_source(url) == NetworkCamera(url)
    assert parse_source(url).name == "door/live"


def test_a_camera_is_distinct_unless_its_path_hides_a_secret() -> None:
    assert parse_source("rtsp://door/cam?password=hunter2&channel=1").distinct
    assert not parse_source("rtsp://door/user=me_password=hunter2_channel=1.sdp").distinct


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "ftp://user:secret@door/a.mp4",
            "ftp://...: a source's address is one of rtsp, rtsps, http, https://",
        ),
        ("rtsp:///live", "rtsp://...: a source's address"),
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


def test_images_come_by_name_and_keep_it(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", "c.webp"):
        (tmp_path / name).write_bytes(name.encode())
    folder = Folder(tmp_path, list_images(tmp_path))
    capture = folder.open()
    assert list(iter(capture.read, None)) == [Shot(b"a.jpg"), Shot(b"b.PNG"), Shot(b"c.webp")]
    assert folder.title(1) == str(tmp_path / "b.PNG")
    assert folder.name == tmp_path.name


def test_an_empty_folder_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SourceLost, match=r"has no images: .*\.jpg"):
        list_images(tmp_path)


def test_a_file_that_goes_missing_is_an_empty_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    folder = Folder(tmp_path, list_images(tmp_path))
    (tmp_path / "a.jpg").unlink()
    capture = folder.open()
    assert capture.read() == Shot(b"")
    assert capture.read() is None


def test_a_folder_named_like_an_image_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    assert Folder(tmp_path, list_images(tmp_path)).open().read() == Shot(b"")
