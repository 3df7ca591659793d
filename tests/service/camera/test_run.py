"""Whole cameras against a real server over a fake model."""

import asyncio
import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from rich.console import Console

from service.__main__ import main
from service.camera.output import AnsweredFrame, Notice, Output
from service.camera.plan import CameraPlan, open_output, parse_source
from service.camera.run import Camera, run_camera
from service.camera.source import Shot, SourceLost
from service.camera.stream_client import StreamRequest
from service.errors import BlitzError, ImageTooLarge, InvalidOption, Unavailable
from service.events.scene import Scene, Zone
from service.serving.streaming import Policy, StreamOptions
from service.types import Options, Segmentation
from tests.fakes import FakeModel, encode_picture
from tests.running import PATIENCE_S
from tests.service.camera.conftest import FakeClock, FakeSource, RestartableServer

ROOT = Path(__file__).resolve().parents[3]
PICTURE = encode_picture(60, 30)


class FakeOutput:
    """Keeps the answers; `after` is called with how many there are."""

    def __init__(self, after: Callable[[int], object] = int) -> None:
        self.answers: list[AnsweredFrame] = []
        self.notices: list[Notice] = []
        self.paused = 0
        self.when_paused = threading.Event()
        self._after = after

    def write(self, answered: AnsweredFrame, *, fps: float) -> None:
        self.answers.append(answered)
        self._after(len(self.answers))

    def tell(self, notice: Notice) -> None:
        self.notices.append(notice)

    def pause(self) -> None:
        self.paused += 1
        self.when_paused.set()

    def close(self) -> None:
        pass


def plan_for(
    source: FakeSource, server: RestartableServer, *, policy: Policy = "all", options: Options | None = None
) -> CameraPlan:
    asked = StreamOptions(options or Options(), policy, track=True)
    return CameraPlan(source, server.address, (), StreamRequest(asked))


async def film(plan: CameraPlan, output: FakeOutput, clock: FakeClock) -> str:
    """Runs a camera; returns the messages of its status line."""
    text = io.StringIO()
    camera = Camera(plan, Console(file=text, width=300), clock=clock)
    await camera.run(plan.source.open(), [output])
    return text.getvalue()


async def test_every_frame_of_a_recording_is_answered(server: RestartableServer, clock: FakeClock) -> None:
    source = FakeSource([[Shot(PICTURE, n / 10) for n in range(12)]], live=False)
    output = FakeOutput()
    told = await film(plan_for(source, server), output, clock)
    assert [answered.frame.id for answered in output.answers] == list(range(12))
    assert "12 answered" in told
    assert told.endswith("fake: identities: cat 1\n")
    assert source.closed == 1


async def test_frames_that_are_no_pictures_fail_alone(server: RestartableServer, clock: FakeClock) -> None:
    source = FakeSource([[Shot(PICTURE), Shot(b"text"), Shot(b""), Shot(PICTURE)]], live=False)
    output = FakeOutput()
    told = await film(plan_for(source, server), output, clock)
    kinds = [isinstance(answered.result.outcome, Segmentation) for answered in output.answers]
    assert kinds == [True, False, False, True]
    assert "2 answered" in told
    assert "2 failed" in told


async def test_a_picture_larger_than_the_server_takes_fails_alone(
    server: RestartableServer, clock: FakeClock
) -> None:
    source = FakeSource([[Shot(PICTURE), Shot(PICTURE + bytes(2_000_000)), Shot(PICTURE)]], live=False)
    output = FakeOutput()
    await film(plan_for(source, server), output, clock)
    kinds = [type(answered.result.outcome) for answered in output.answers]
    assert kinds == [Segmentation, ImageTooLarge, Segmentation]


async def test_a_server_that_is_killed_and_comes_back_has_answered_everything_in_the_end(
    server: RestartableServer,
) -> None:
    loop = asyncio.get_running_loop()

    class RestartingClock(FakeClock):
        """The server is back at the third attempt."""

        async def wait_until(self, time: float) -> None:
            await super().wait_until(time)
            if len(self.waits) % 3 == 0:
                await server.start()

    def kill_sometimes(answers: int) -> None:
        if answers in (4, 18):  # more than IN_FLIGHT frames apart
            asyncio.run_coroutine_threadsafe(server.kill(), loop).result()

    source = FakeSource([[Shot(PICTURE, n / 10) for n in range(40)]], live=False)
    output, clock = FakeOutput(kill_sometimes), RestartingClock()
    told = await film(plan_for(source, server), output, clock)
    assert [answered.frame.id for answered in output.answers] == list(range(40))
    assert len(clock.waits) == 6
    assert told.count("again in") == 6
    # An identity does not outlive the connection, so the one cat counts three times.
    assert told.endswith("fake: identities: cat 3\n")


async def test_a_camera_that_only_wants_the_latest_goes_on_after_a_kill(server: RestartableServer) -> None:
    loop = asyncio.get_running_loop()
    restarted = threading.Event()

    class RestartingClock(FakeClock):
        async def wait_until(self, time: float) -> None:
            await super().wait_until(time)
            if not restarted.is_set():
                await server.start()
                restarted.set()

    class LastingSource(FakeSource):
        """Its last three pictures come when the server is back."""

        def read(self) -> Shot | None:
            assert len(self._shots) != 3 or restarted.wait(PATIENCE_S)
            return super().read()

    def kill(answers: int) -> None:
        if answers == 1:
            asyncio.run_coroutine_threadsafe(server.kill(), loop).result()

    output = FakeOutput(kill)
    source = LastingSource([[Shot(PICTURE, None) for _ in range(100)]], live=False)
    await film(plan_for(source, server, policy="latest"), output, RestartingClock())
    ids = [answered.frame.id for answered in output.answers]
    assert ids == sorted(set(ids))
    assert ids[-1] == 99
    assert output.answers[-1].result.dropped == 100 - len(ids)


async def test_what_the_server_refuses_ends_the_camera(server: RestartableServer, clock: FakeClock) -> None:
    source = FakeSource([[Shot(PICTURE, 0)]], live=False)
    console = Console(file=io.StringIO())
    plan = plan_for(source, server, options=Options(classes=("unicorn",)))
    with pytest.raises(InvalidOption, match="unicorn"):
        await Camera(plan, console, clock=clock).run(source.open(), [FakeOutput()])
    assert source.closed >= 1
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


async def test_an_output_that_fails_ends_the_camera(server: RestartableServer, clock: FakeClock) -> None:
    def fail(answers: int) -> None:
        raise OSError(28, "No space left on device")

    source = FakeSource([[Shot(PICTURE, n) for n in range(5)]], live=False)
    with pytest.raises(BlitzError, match=r"an output failed: .*No space left"):
        await film(plan_for(source, server), FakeOutput(fail), clock)


async def test_a_reader_that_has_seen_enough_is_no_failure(
    server: RestartableServer, clock: FakeClock
) -> None:
    def hang_up(answers: int) -> None:
        raise BrokenPipeError

    source = FakeSource([[Shot(PICTURE, n) for n in range(5)]], live=False)
    assert "answered" in await film(plan_for(source, server), FakeOutput(hang_up), clock)


async def test_the_outputs_are_told_when_the_server_is_lost(server: RestartableServer) -> None:
    loop = asyncio.get_running_loop()
    output = FakeOutput(lambda answers: asyncio.run_coroutine_threadsafe(server.kill(), loop).result())

    class LastingSource(FakeSource):
        """Gives a second picture only once the outputs know that the server is lost."""

        def read(self) -> Shot | None:
            assert len(self._shots) != 1 or output.when_paused.wait(PATIENCE_S)
            return super().read()

    class RestartingClock(FakeClock):
        async def wait_until(self, time: float) -> None:
            await super().wait_until(time)
            if await asyncio.to_thread(output.when_paused.wait, 0.05):
                await server.start()

    await film(
        plan_for(LastingSource([[Shot(PICTURE), Shot(PICTURE)]], live=False), server),
        output,
        RestartingClock(),
    )
    assert (len(output.answers), output.paused) == (2, 1)


async def test_the_outputs_are_told_when_the_camera_is_lost(server: RestartableServer) -> None:
    output = FakeOutput()

    class RepairedClock(FakeClock):
        async def wait_until(self, time: float) -> None:
            await super().wait_until(time)
            assert await asyncio.to_thread(output.when_paused.wait, PATIENCE_S)

    class AnsweredSource(FakeSource):
        """Breaks off once its first picture is answered."""

        def read(self) -> Shot | None:
            assert self.opened != 1 or len(self._shots) != 1 or answered.wait(PATIENCE_S)
            return super().read()

    answered = threading.Event()
    output = FakeOutput(lambda answers: answered.set())
    source = AnsweredSource([[Shot(PICTURE), SourceLost("it broke off")], [Shot(PICTURE)]])
    told = await film(plan_for(source, server), output, RepairedClock())
    assert (len(output.answers), output.paused) == (2, 1)
    assert "it broke off; trying again in" in told


async def test_a_source_of_which_no_picture_can_be_answered_is_a_failure(
    server: RestartableServer, clock: FakeClock
) -> None:
    source = FakeSource([[Shot(b"text"), Shot(b"")]], live=False)
    with pytest.raises(BlitzError, match=r"no picture could be answered; .*: the frame has no image"):
        await film(plan_for(source, server), FakeOutput(), clock)


async def test_with_wait_everything_may_come_later(
    server: RestartableServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.kill()
    away_outputs = [Unavailable("no broker answers")]

    def open_late(text: str, plan: CameraPlan, *, fps: float | None, report: Callable[[str], None]) -> Output:
        if away_outputs:
            raise away_outputs.pop()
        return open_output(text, plan, fps=fps, report=report)

    monkeypatch.setattr("service.camera.run.open_output", open_late)

    class StartingClock(FakeClock):
        async def wait_until(self, time: float) -> None:
            await super().wait_until(time)
            if len(self.waits) == 2:
                await server.start()

    text = io.StringIO()
    away = SourceLost("the camera is away")
    source = FakeSource([away, away, [SourceLost("no picture yet")], [Shot(PICTURE)]])
    request = StreamRequest(StreamOptions(policy="all"))
    plan = CameraPlan(source, server.address, [f"{tmp_path}/a.jsonl"], request, wait=True)
    await run_camera(plan, Console(file=text, width=300), clock=StartingClock())
    assert text.getvalue().count("no server answers there") == 2
    assert text.getvalue().count("the camera is away; trying again in") == 2
    assert "no broker answers; trying again in" in text.getvalue()
    assert "no picture yet; trying again in" in text.getvalue()
    assert len((tmp_path / "a.jsonl").read_bytes().splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_camera_that_waits_ends_at_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    process = await start_camera("0", "--server", "127.0.0.1:1", "--wait", cwd=tmp_path)
    assert process.stderr is not None
    await process.stderr.readline()
    process.send_signal(number)
    assert await process.wait() == 0


@pytest.mark.parametrize(
    "address", ["grpcs://me:hunter2@hub", "me:hunter2@hub", "grpcs://hub?token=hunter2", "hub:8001#hunter2"]
)
async def test_the_address_of_a_server_has_no_password(address: str) -> None:
    plan = CameraPlan(FakeSource([]), address, (), StreamRequest(StreamOptions()))
    with pytest.raises(InvalidOption, match="give the key by --key") as caught:
        await run_camera(plan, Console(file=io.StringIO()))
    assert "hunter" not in str(caught.value)


async def test_a_video_of_a_file_lasts_as_long_as_the_file_however_fast_it_is_read(
    server: RestartableServer, write_video: Callable[..., str], tmp_path: Path
) -> None:
    clip = write_video(frames=12, fps=4.0)
    process = await start_camera(clip, "--server", server.address, "--fast", "--out", "video", cwd=tmp_path)
    _, complaints = await process.communicate()
    assert process.returncode == 0, complaints
    video = cv2.VideoCapture(str(tmp_path / "clip-annotated.mp4"), cv2.CAP_FFMPEG)
    seconds = video.get(cv2.CAP_PROP_FRAME_COUNT) / video.get(cv2.CAP_PROP_FPS)
    assert seconds == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:8001", "no address"])
async def test_without_a_server_nothing_begins(address: str) -> None:
    source = FakeSource([[Shot(PICTURE, 0)]])
    plan = CameraPlan(source, address, (), StreamRequest(StreamOptions()))
    with pytest.raises(InvalidOption, match=f"--server {address}: no server answers there"):
        await run_camera(plan, Console(file=io.StringIO()))
    assert source.opened == 0


async def start_camera(*arguments: object, cwd: Path) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "service", "camera", *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"}
    return await asyncio.create_subprocess_exec(*command, cwd=cwd, stdout=pipe, stderr=pipe, env=environment)


async def test_the_command_writes_json_lines_and_a_video(
    server: RestartableServer, write_video: Callable[..., str], tmp_path: Path
) -> None:
    clip = write_video(frames=8, fps=20.0)
    outputs = ("--out", "jsonl", "--out", "video")
    process = await start_camera(clip, "--server", server.address, "--fast", *outputs, cwd=tmp_path)
    output, complaints = await process.communicate()
    assert process.returncode == 0, complaints
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["frame_id"] for line in lines] == list(range(8))
    assert lines[-1]["instances"][0]["track_id"] == 1
    assert b"8 answered" in complaints
    video = cv2.VideoCapture(str(tmp_path / "clip-annotated.mp4"), cv2.CAP_FFMPEG)
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 8


async def test_a_pipe_that_is_closed_early_ends_the_command_well(
    server: RestartableServer, write_video: Callable[..., str], tmp_path: Path
) -> None:
    process = await start_camera(write_video(frames=100), "--server", server.address, "--fast", cwd=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.readline()
    process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # asyncio has no other way
    complaints = await process.stderr.read()
    assert await process.wait() == 0, complaints
    assert b"answered in" in complaints


async def test_a_camera_that_is_stopped_finishes_its_video(
    server: RestartableServer, write_video: Callable[..., str], tmp_path: Path
) -> None:
    clip = write_video(frames=100, fps=2.0)  # fifty seconds long
    outputs = ("--out", "jsonl", "--out", "seen.mp4")
    process = await start_camera(clip, "--server", server.address, *outputs, cwd=tmp_path)
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, complaints = await process.communicate()
    assert process.returncode == 0, complaints
    assert b"answered in" in complaints
    video = cv2.VideoCapture(str(tmp_path / "seen.mp4"), cv2.CAP_FFMPEG)
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) >= 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["missing.mp4"], "missing.mp4: there is no such file"),
        (["ftp://door/a"], "ftp://...: a source's address"),
        (["{empty}"], "has no images"),
        (["{clip}", "--out", "a.mp4", "--out", "a.mp4"], "named twice"),
        (["{clip}", "--server", "127.0.0.1:1"], "--server 127.0.0.1:1: no server answers there"),
        (["{clip}", "--server", ""], "no address: expected host:port"),
        (["{clip}", "--server", "127.0.0.1:abc"], "--server 127.0.0.1:abc: no server answers there"),
        (["{clip}", "--out", "kafka://hub"], "--out kafka://hub: expected jsonl, events, video"),
        (["{clip}", "--max-fps", "0"], "max_fps is 0"),
        (["{clip}", "rtsp://me:secret@door/"], "one command takes one source"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_status_2(
    arguments: list[str],
    reason: str,
    write_video: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"{empty}": str(tmp_path / "empty"), "{clip}": write_video()}
    monkeypatch.setattr(sys, "argv", ["blitzmask", "camera", *(places.get(each, each) for each in arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    complaints = capsys.readouterr().err
    assert ended.value.code == 2
    assert complaints.startswith("error: ")
    assert reason in complaints
    assert complaints.count("\n") == 1
    assert "secret" not in complaints


@pytest.mark.parametrize(
    "refused", [("--model", "nope"), ("--out", "mqtt://127.0.0.1:1"), ("--max-fps", "0")]
)
async def test_a_command_that_is_refused_loses_no_file(
    server: RestartableServer, write_video: Callable[..., str], tmp_path: Path, refused: tuple[str, str]
) -> None:
    kept = [tmp_path / "kept.jsonl", tmp_path / "kept.mp4"]
    for path in kept:
        path.write_bytes(b"of yesterday")
    outputs = (each for path in kept for each in ("--out", path))
    clip = write_video()
    process = await start_camera(clip, "--server", server.address, *outputs, *refused, cwd=tmp_path)
    _, complaints = await process.communicate()
    assert process.returncode == 2, complaints
    assert [path.read_bytes() for path in kept] == [b"of yesterday"] * 2


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("clip.mp4", b"error: clip.mp4 cannot be opened as a video\n"),
        ("97", b"error: webcam 97 cannot be opened as a video\n"),
        ("rtsp://me:secret@127.0.0.1:1/live", b"error: 127.0.0.1:1/live cannot be opened as a video\n"),
    ],
)
async def test_a_source_that_cannot_be_opened_is_one_line_too(
    server: RestartableServer, tmp_path: Path, source: str, complaint: bytes
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    process = await start_camera(source, "--server", server.address, cwd=tmp_path)
    assert await process.communicate() == (b"", complaint)
    assert process.returncode == 2


def test_a_camera_loads_no_server() -> None:
    program = """
import sys
from service.__main__ import main
sys.argv = ["blitzmask", "camera", "missing.mp4"]
try:
    main()
except SystemExit:
    print(*{name.partition(".")[0] for name in sys.modules})
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "cv2" in loaded
    assert not loaded & {"fastapi", "onnxruntime", "ai_edge_litert", "prometheus_client", "scipy"}


def test_a_folder_keeps_the_names_of_its_pictures(tmp_path: Path, model: FakeModel) -> None:
    for name in ("b.png", "a.png"):
        (tmp_path / name).write_bytes(PICTURE)
    folder = parse_source(str(tmp_path))
    assert not folder.timed
    assert [folder.title(number) for number in range(2)] == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]


async def test_a_terminal_sees_how_it_goes(
    server: RestartableServer, write_video: Callable[..., str], tmp_path: Path
) -> None:
    clip = write_video(frames=10, fps=5.0)
    screen = io.StringIO()
    request = StreamRequest(StreamOptions(policy="all"))
    plan = CameraPlan(parse_source(clip), server.address, [f"{tmp_path}/a.jsonl"], request, paced=True)
    await run_camera(plan, Console(file=screen, force_terminal=True, width=100))
    assert screen.getvalue().count("clip  ") > 4
    assert "10 answered" in screen.getvalue()
    assert len((tmp_path / "a.jsonl").read_bytes().splitlines()) == 10


async def test_events_of_a_recording_are_written_up_to_its_end(
    server: RestartableServer, tmp_path: Path
) -> None:
    source = FakeSource([[Shot(PICTURE, n / 10) for n in range(5)]], live=False)
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    outputs = [f"{tmp_path}/answers.jsonl", f"{tmp_path}/a.events.jsonl", f"{tmp_path}/pictures/"]
    request = StreamRequest(StreamOptions(policy="all", track=True))
    plan = CameraPlan(source, server.address, outputs, request, scene=Scene((Zone("yard", corners),)))
    text = io.StringIO()
    await run_camera(plan, Console(file=text, width=300))
    events = [json.loads(line) for line in (tmp_path / "a.events.jsonl").read_bytes().splitlines()]
    assert [event["event"] for event in events] == ["new", "entered", "left", "gone"]
    assert events[-1]["time_s"] == 0.4
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_bytes().splitlines()]
    assert [len(answer["events"]) for answer in answers] == [0, 2, 0, 0, 0]
    assert answers[-1]["zones"]["yard"]["present"] == {"cat": 1}
    pictures = [path.name for path in (tmp_path / "pictures").iterdir()]
    assert sorted(pictures) == ["fake-400-1-crop.jpg", "fake-400-1.jpg"]
    assert text.getvalue().endswith("fake: yard: entered: 1 cat\n")


async def test_the_objects_of_a_camera_that_is_lost_are_gone(server: RestartableServer) -> None:
    answered = threading.Event()
    output = FakeOutput(lambda answers: answered.set() if answers == 2 else None)

    class RepairedClock(FakeClock):
        async def wait_until(self, time: float) -> None:
            await super().wait_until(time)
            assert await asyncio.to_thread(output.when_paused.wait, PATIENCE_S)

    class AnsweredSource(FakeSource):
        """Breaks off once its first two pictures are answered."""

        def read(self) -> Shot | None:
            assert self.opened != 1 or len(self._shots) != 1 or answered.wait(PATIENCE_S)
            return super().read()

    lost = SourceLost("it broke off")
    source = AnsweredSource([[Shot(PICTURE), Shot(PICTURE), lost], [Shot(PICTURE)]])
    await film(replace(plan_for(source, server), scene=Scene()), output, RepairedClock())
    told = [[event.kind for event in notice.report.events] for notice in output.notices]
    assert told[:3] == [[], ["new"], ["gone"]]
