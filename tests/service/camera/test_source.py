import asyncio
import time
from pathlib import Path

import pytest

from service.camera.plan import parse_source
from service.camera.source import Folder, Reader, Retry, Shot, SourceLost, list_images
from service.camera.video import NetworkCamera, VideoFile, Webcam
from service.errors import InvalidOption
from service.serving.streaming import Frame
from tests.service.camera.conftest import RAW, FakeClock, FakeSource


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


async def test_pauses_double_up_to_a_limit_and_chance_takes_up_to_a_half(clock: FakeClock) -> None:
    reported: list[str] = []
    retry = Retry(clock, reported.append)
    for _ in range(9):
        await retry.wait("it is away")
    for pause, longest in zip(clock.waits, [0.25, 0.5, 1, 2, 4, 5, 5, 5, 5], strict=True):
        assert longest / 2 <= pause <= longest
    assert len(reported) == 9
    assert reported[0].startswith("it is away; trying again in 0.")


async def test_the_pauses_are_short_again_once_something_works(clock: FakeClock) -> None:
    retry = Retry(clock, lambda reason: None)
    for _ in range(5):
        await retry.wait("it is away")
    assert retry.failing
    retry.reset()
    assert not retry.failing
    await retry.wait("it is away")
    assert clock.waits[-1] <= 0.25


def shots(*times: float | None) -> list[Shot | SourceLost]:
    return [Shot(RAW, time) for time in times]


async def wind(
    source: FakeSource, clock: FakeClock, retry: Retry, *, paced: bool = False, patient: bool = False
) -> list[Frame]:
    """Every frame, taken as soon as it waits."""
    reader = Reader(source, "all", clock=clock, retry=retry, paced=paced, patient=patient)
    running = asyncio.create_task(reader.run(source.open()))
    frames = []
    while await reader.slot.wait():
        frames.append(reader.slot.take())
    await running
    return frames


async def test_frames_are_numbered_and_know_when_they_were_taken(clock: FakeClock, retry: Retry) -> None:
    frames = await wind(FakeSource([shots(0, 0.5, 1.25)]), clock, retry)
    assert [(frame.id, frame.captured_us) for frame in frames] == [(0, 0), (1, 500_000), (2, 1_250_000)]
    assert {frame.picture for frame in frames} == {RAW}
    assert clock.waits == []


async def test_pictures_of_now_carry_the_time_of_day(clock: FakeClock, retry: Retry) -> None:
    (frame,) = await wind(FakeSource([shots(None)]), clock, retry)
    assert frame.captured_us == pytest.approx(time.time() * 1e6, abs=60e6)


async def test_a_recording_runs_at_its_own_speed_and_loses_no_frame(clock: FakeClock, retry: Retry) -> None:
    frames = await wind(FakeSource([shots(0, 0.5, 1.25)], live=False), clock, retry, paced=True)
    assert clock.time == 1.25
    assert [frame.id for frame in frames] == [0, 1, 2]


async def test_where_only_the_latest_matters_a_new_frame_replaces_the_one_that_waits(
    clock: FakeClock, retry: Retry
) -> None:
    source = FakeSource([shots(0, 0.5, 1.25)], live=False)
    reader = Reader(source, "latest", clock=clock, retry=retry)
    await reader.run(source.open())
    assert reader.slot.dropped == 2
    assert reader.slot.take().id == 2
    assert source.closed == 1


async def test_a_live_source_that_breaks_off_is_opened_again_with_ever_longer_waits(
    clock: FakeClock, retry: Retry, reported: list[str]
) -> None:
    lost, away = SourceLost("it broke off"), SourceLost("it is away")
    source = FakeSource([[*shots(0, 1), lost], away, away, shots(None)])
    frames = await wind(source, clock, retry)
    assert [frame.id for frame in frames] == [0, 1, 2]
    assert source.opened == source.closed == 2
    assert [text.partition(";")[0] for text in reported] == ["it broke off", "it is away", "it is away"]
    first, second, third = clock.waits
    assert 0.125 <= first <= 0.25 <= 2 * second <= 1 <= 2 * third <= 2


async def test_a_reader_that_is_cancelled_closes_its_source(clock: FakeClock, retry: Retry) -> None:
    source = FakeSource([shots(0, 1, 2)])
    reader = Reader(source, "all", clock=clock, retry=retry)
    running = asyncio.create_task(reader.run(source.open()))
    await reader.slot.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert source.closed == 1


@pytest.mark.parametrize(("live", "patient"), [(False, False), (False, True), (True, False)])
async def test_a_source_that_opens_but_gives_no_picture_is_refused(
    clock: FakeClock, retry: Retry, live: bool, patient: bool
) -> None:
    source = FakeSource([[SourceLost("no picture of it can be decoded")]], live=live)
    reader = Reader(source, "all", clock=clock, retry=retry, patient=patient)
    with pytest.raises(InvalidOption, match="no picture of it can be decoded"):
        await reader.run(source.open())
    assert source.closed == 1


async def test_with_patience_a_live_source_may_give_its_first_picture_later(
    clock: FakeClock, retry: Retry
) -> None:
    source = FakeSource([[SourceLost("not yet")], SourceLost("away"), shots(None)])
    # The test ends the live source as a file ends: by reading nothing more.
    assert len(await wind(source, clock, retry, patient=True)) == 1
