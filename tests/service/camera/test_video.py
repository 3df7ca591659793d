"""Real files and a real network camera, read by OpenCV."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from service.camera.source import Shot, SourceLost
from service.camera.video import NetworkCamera, VideoCapture, VideoFile, Webcam, measure_fps
from service.serving.streaming import RawImage
from service.types import Size


def read_all(capture: VideoCapture) -> list[Shot]:
    shots = list(iter(capture.read, None))
    capture.close()
    return [shot for shot in shots if shot is not None]


def test_a_video_shorter_than_a_second_is_read_to_its_end(write_video: Callable[..., str]) -> None:
    capture = VideoFile(Path(write_video(frames=6, fps=20.0))).open()
    assert capture.fps == 20.0
    shots = read_all(capture)
    assert [shot.time for shot in shots] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.25])
    assert all(isinstance(shot.picture, RawImage) and shot.picture.size == Size(48, 64) for shot in shots)


def test_pictures_are_raw_bgr_in_their_order(write_video: Callable[..., str]) -> None:
    shots = read_all(VideoFile(Path(write_video(frames=6))).open())
    greys = [
        np.frombuffer(shot.picture.data, np.uint8).mean()
        for shot in shots
        if isinstance(shot.picture, RawImage)
    ]
    assert len(greys) == 6
    assert greys == sorted(greys)


def test_a_video_of_one_picture_is_one(write_video: Callable[..., str]) -> None:
    assert len(read_all(VideoFile(Path(write_video(frames=1))).open())) == 1


def test_corrupt_pictures_are_passed_over(write_video: Callable[..., str]) -> None:
    path = Path(write_video(frames=60))
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + len(content) // 3
    content[start : start + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(content)
    shots = read_all(VideoFile(path).open())
    assert 20 < len(shots) <= 60
    times = [shot.time or 0.0 for shot in shots]
    assert times == sorted(times)
    assert times[-1] > 2.5  # it went on after the damage


def test_a_video_of_which_nothing_can_be_decoded_is_lost(write_video: Callable[..., str]) -> None:
    path = Path(write_video(frames=20))
    content = path.read_bytes()
    start, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    path.write_bytes(content[:start] + bytes(end - start) + content[end:])
    capture = VideoFile(path).open()
    with pytest.raises(SourceLost, match="no picture of it can be decoded; this OpenCV has no decoder"):
        capture.read()
    capture.close()


def test_a_rate_that_no_video_has_is_replaced_by_the_mean(write_video: Callable[..., str]) -> None:
    path = Path(write_video(frames=30, fps=1000.0))
    capture = VideoFile(path).open()
    capture.close()
    assert capture.fps == 240.0
    assert measure_fps(Path(write_video("fast.mp4", frames=30, fps=50.0))) == pytest.approx(50.0)
    assert measure_fps(Path(write_video("slower.mp4", frames=30, fps=12.5))) == 25.0
    assert measure_fps(Path(write_video("one.mp4", frames=1))) is None


@pytest.mark.parametrize("content", [b"", b"no video", b"\0" * 5000])
def test_what_is_no_video_is_said_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceLost, match=r"clip\.mp4 cannot be opened as a video"):
        VideoFile(path).open()


def test_a_video_that_was_cut_off_is_no_endless_wait(write_video: Callable[..., str]) -> None:
    path = Path(write_video(frames=60))
    path.write_bytes(path.read_bytes()[:-2000])  # its index is at the end
    with pytest.raises(SourceLost):
        VideoFile(path).open()


def test_a_webcam_that_is_not_there_is_said_so() -> None:
    with pytest.raises(SourceLost, match="webcam 97 cannot be opened"):
        Webcam(97).open()


@pytest.fixture
def door_camera() -> Iterator[str]:
    """A network camera that sends five pictures as motion JPEG and then hangs up."""
    _, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            for _ in range(5):
                self.wfile.write(b"--b\r\nContent-Type: image/jpeg\r\n")
                self.wfile.write(
                    b"Content-Length: %d\r\n\r\n" % len(jpeg.tobytes()) + jpeg.tobytes() + b"\r\n"
                )

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://user:secret@127.0.0.1:{server.server_port}/video"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_network_camera_that_hangs_up_is_lost_and_can_be_opened_again(door_camera: str) -> None:
    camera = NetworkCamera(door_camera)
    assert re.fullmatch(r"127\.0\.0\.1:\d+/video", camera.name)
    for _ in range(2):
        capture = camera.open()
        shots: list[Shot | None] = []
        with pytest.raises(SourceLost, match=r"127\.0\.0\.1:\d+/video gives no more pictures"):
            shots.extend(iter(capture.read, None))
        capture.close()
        assert 1 <= len(shots) <= 5
        assert shots[0] is not None
        assert shots[0].time is None


def test_a_camera_of_this_machine_is_asked_without_the_proxy(
    door_camera: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "example.com")
    capture = NetworkCamera(door_camera).open()
    assert capture.read() is not None
    capture.close()
    assert os.environ["no_proxy"] == "example.com,localhost,127.0.0.1,::1"


def test_a_network_camera_that_is_away_is_said_so_without_its_password() -> None:
    with pytest.raises(SourceLost, match="cannot be opened") as caught:
        NetworkCamera("rtsp://user:secret@127.0.0.1:1/live").open()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://me:secret@nvr/cam/realmonitor?channel=1", "nvr/cam/realmonitor?channel=1"),
        (
            "rtsp://me:secret@nvr/cam/realmonitor?channel=2&subtype=0",
            "nvr/cam/realmonitor?channel=2&subtype=0",
        ),
        ("rtsp://door:8554/", "door:8554"),
        ("http://door/mjpg?usr=me&pwd=secret&camera=3", "door/mjpg?camera=3"),
        ("rtsp://door/user=me_password=secret_channel=1.sdp?real_stream", "door?real_stream"),
        ("rtsp://nvr/cam?1", "nvr/cam?1"),
        ("http://proxy/get?src=rtsp%3A%2F%2Fme%3Asecret%40nvr&camera=3", "proxy/get?camera=3"),
        ("http://door/get?p%61ssword=secret", "door/get"),
    ],
)
def test_a_network_camera_is_named_by_all_of_its_address_but_secrets(url: str, name: str) -> None:
    assert NetworkCamera(url).name == name


def test_webcams_of_two_machines_have_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "kitchen")
    assert Webcam(0).name == "kitchen/webcam-0"
