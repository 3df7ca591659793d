import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from service.camera.output import AnsweredFrame
from service.camera.plan import (
    CameraPlan,
    check_outputs,
    default_outputs,
    open_output,
    parse_source,
)
from service.camera.source import Source
from service.camera.stream_client import StreamRequest
from service.errors import InvalidOption
from service.serving.streaming import StreamOptions
from tests.service.camera.conftest import FakeSource, frame, result


def plan_to(*outputs: str | Path, source: Source | None = None) -> CameraPlan:
    source = source or FakeSource([])
    return CameraPlan(source, "localhost:1", [str(each) for each in outputs], StreamRequest(StreamOptions()))


@pytest.mark.parametrize(
    ("terminals", "outputs"),
    [(("stdout", "stderr"), []), (("stdout",), ["jsonl"]), (("stderr",), ["jsonl"]), ((), ["jsonl"])],
)
def test_only_a_terminal_that_shows_the_status_line_is_spared_the_json(
    monkeypatch: pytest.MonkeyPatch, terminals: tuple[str, ...], outputs: list[str]
) -> None:
    for name in ("stdout", "stderr"):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda name=name: name in terminals)
        monkeypatch.setattr(sys, name, stream)
    assert default_outputs() == outputs


@pytest.mark.parametrize("text", ["kafka://hub", "out.avi", "", "jsonl2", "MQTT", "mqtt:hub"])
def test_an_output_of_no_kind_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="--out"):
        check_outputs(plan_to(text))


@pytest.mark.parametrize(
    "text", ["mqtt:/me:hunter2@hub", "kafka://me:hunter2@hub", "me:hunter2@hub", "mqtt//me:hunter2@hub/a.mp4"]
)
def test_no_message_about_a_mistyped_broker_shows_its_password(text: str) -> None:
    with pytest.raises(InvalidOption, match="--out") as caught:
        check_outputs(plan_to(text))
    assert "hunter" not in str(caught.value)


def test_a_camera_whose_name_tells_no_channel_needs_another_name_for_its_topics() -> None:
    source = parse_source("rtsp://door/user=me_password=hunter2_channel=1.sdp")
    plan = plan_to("mqtt://hub", source=source)
    with pytest.raises(InvalidOption, match="name the camera by --name") as caught:
        check_outputs(plan)
    assert "hunter" not in str(caught.value)
    check_outputs(replace(plan, name="drive"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, in which everything happens."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "outputs",
    [
        ("jsonl", "video", "jsonl"),
        ("a.jsonl", "./a.jsonl"),
        ("old.jsonl", "link.jsonl"),
        ("video", "fake-annotated.mp4"),
        ("mqtt://hub", "mqtt://me:secret@hub:1883"),
    ],
)
def test_one_output_twice_is_refused(folder: Path, outputs: tuple[str, ...]) -> None:
    (folder / "old.jsonl").touch()
    (folder / "link.jsonl").symlink_to("old.jsonl")
    check_outputs(plan_to("jsonl", "video", "a.jsonl", "b.MP4", "mqtt://hub", "mqtt://hub/door"))
    with pytest.raises(InvalidOption, match="named twice"):
        check_outputs(plan_to(*outputs))


@pytest.mark.parametrize("output", ["clip.mp4", "./clip.mp4", "{folder}/clip.mp4", "soft.mp4", "hard.mp4"])
def test_the_source_is_never_overwritten(folder: Path, output: str) -> None:
    clip = folder / "clip.mp4"
    clip.write_bytes(b"the only one")
    (folder / "soft.mp4").symlink_to(clip)
    (folder / "hard.mp4").hardlink_to(clip)
    plan = plan_to("other.mp4", output.format(folder=folder), source=parse_source("clip.mp4"))
    with pytest.raises(InvalidOption, match="that is the source"):
        check_outputs(plan)
    assert clip.read_bytes() == b"the only one"
    assert not (folder / "other.mp4").exists()


def test_a_picture_of_the_folder_that_is_read_is_never_overwritten(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(b"the only one")
    (folder / "a.mp4").symlink_to("a.jpg")
    with pytest.raises(InvalidOption, match="that is the source"):
        check_outputs(plan_to("a.mp4", source=parse_source(str(folder))))


def test_an_output_that_cannot_be_written_is_told_before_anything_begins(folder: Path) -> None:
    (folder / "folder.jsonl").mkdir()
    for name, reason in (
        ("missing/a.mp4", "no such file or directory"),
        ("missing/a.jsonl", "no such file or directory"),
        ("folder.jsonl", "is a directory"),
    ):
        with pytest.raises(InvalidOption, match=rf"--out {name}: {reason}"):
            check_outputs(plan_to(name))


@pytest.mark.parametrize("name", ["a.jsonl", "a.mp4"])
def test_a_file_keeps_what_it_has_until_the_first_answer(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"of yesterday")
    plan = plan_to(name)
    check_outputs(plan)
    open_output(name, plan, fps=10.0, report=print).close()
    assert (folder / name).read_bytes() == b"of yesterday"


@pytest.mark.parametrize(
    ("source", "name", "file"),
    [
        ("rtsp://door/live/1", None, "1-annotated.mp4"),
        ("rtsp://door/live?channel=1", None, "live-channel-1-annotated.mp4"),
        ("rtsp://door/live/1", "Front Door", "Front-Door-annotated.mp4"),
    ],
)
def test_a_video_has_the_name_of_its_camera(folder: Path, source: str, name: str | None, file: str) -> None:
    plan = replace(plan_to("video", source=parse_source(source)), name=name)
    output = open_output("video", plan, fps=10.0, report=print)
    output.write(AnsweredFrame(frame(0), result(0)), fps=1.0)
    output.close()
    assert [path.name for path in folder.iterdir()] == [file]


def test_events_go_to_files_folders_and_webhooks(folder: Path) -> None:
    (folder / "file").touch()
    names = ("a.events.jsonl", "pictures/", "http://host/hook", "https://host/hook")
    plan = replace(plan_to(*names), request=StreamRequest(StreamOptions(track=True)))
    check_outputs(plan)
    assert plan.start_watcher() is not None
    assert plan_to("a.jsonl", "mqtt://hub").start_watcher() is None
    with pytest.raises(InvalidOption, match="that is a file"):
        check_outputs(replace(plan, outputs=("file/",)))
    with pytest.raises(InvalidOption, match="named twice"):
        check_outputs(replace(plan, outputs=("jsonl", "events")))
    with pytest.raises(InvalidOption, match="events need --track"):
        check_outputs(plan_to("events"))
