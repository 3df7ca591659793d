"""Scenes and reports in messages: what one side writes, the other side reads."""

import pytest

from service.client.proto_convert import stream_options_to_proto
from service.client.scene_convert import report_from_proto, scene_to_proto
from service.errors import InvalidOption
from service.events.report import Event, LineCount, Report, ZoneCount
from service.events.scene import Area, Limits, Line, Scene, Zone
from service.frames import StreamOptions
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.rpc.scenes import report_to_proto, scene_from_proto
from service.rpc.segmentation import stream_options_from_proto
from tests.fakes import encode_picture

CORNERS = ((0.1, 0.2), (0.9, 0.2), (0.9, 1.0))
SCENE = Scene(
    zones=(
        Zone("yard", CORNERS, classes=("cat",), min_s=1.5),
        Zone("all", ((0, 0), (9, 0), (9, 9)), "pixels"),
    ),
    lines=(Line("gate", (0, 0.5), (1, 0.5)), Line("door", (0, 1), (5, 6), "pixels", "out", ("dog", "cat"))),
    ignored=(Area(CORNERS), Area(((0, 0), (5, 0), (5, 5)), "pixels")),
    limits=(Limits(min_s=0.5), Limits("cat", 400, "pixels", 2.0)),
    anchor="centre",
    update_s=5.0,
)
EVENTS = (
    Event("new", 1.25, 7, "cat", 0.5, (1.0, 2.0, 3.0, 4.0)),
    Event("entered", 1.25, 7, "cat", 0.5, (1.0, 2.0, 3.0, 4.0), "yard"),
    Event("crossed", 1.5, 7, "cat", 0.5, (1.0, 2.0, 3.0, 4.0), "gate", "in"),
    Event("left", 1.75, 7, "cat", 0.5, (1.0, 2.0, 3.0, 4.0), "yard", seconds=0.5),
    Event("updated", 1.75, 7, "cat", 0.5, (1.0, 2.0, 3.0, 4.0)),
    Event("gone", 1.75, 7, "cat", 0.5, (1.0, 2.0, 3.0, 4.0), seconds=0.0),
)


@pytest.mark.parametrize("scene", [SCENE, Scene()])
def test_a_scene_is_the_same_on_both_sides(scene: Scene) -> None:
    assert scene_from_proto(scene_to_proto(scene)) == scene


def test_a_report_is_the_same_on_both_sides() -> None:
    report = Report(
        EVENTS, (ZoneCount("yard", {"cat": 1}, {"cat": 4}),), (LineCount("gate", {"cat": 2}, {}),)
    )
    assert report_from_proto(report_to_proto(report)) == report


@pytest.mark.parametrize("scene", [SCENE, None])
def test_the_options_of_a_stream_carry_a_scene_or_none(scene: Scene | None) -> None:
    options = StreamOptions(track=True, scene=scene)
    assert stream_options_from_proto(stream_options_to_proto(options, model=None, version=None)) == options


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        (pb.Scene(zones=[pb.Zone(name="yard", corners=[1, 2, 3])]), "3 coordinates"),
        (pb.Scene(lines=[pb.Line(name="gate", ends=[0, 1])]), "line gate has 2 numbers"),
        (pb.Scene(zones=[pb.Zone(name="yard", unit=9)]), "unit is 9"),  # type: ignore[arg-type]
        (pb.Scene(anchor=9), "anchor is 9"),  # type: ignore[arg-type]
        (pb.Scene.FromString(b"\x98\x06\x01"), "Scene has no field 99"),
        (pb.Scene(zones=[pb.Zone.FromString(b"\x98\x06\x01")]), "Zone has no field 99"),
    ],
)
def test_a_scene_that_cannot_be_is_refused(scene: pb.Scene, reason: str) -> None:
    with pytest.raises(InvalidOption, match=reason):
        scene_from_proto(scene)


def test_a_kind_of_event_that_this_client_does_not_know_is_left_out() -> None:
    message = pb.Report(events=[pb.Event(kind=99, bbox=[1, 2, 3, 4])])  # type: ignore[arg-type]
    assert report_from_proto(message).events == ()


def test_a_scene_without_tracking_is_refused() -> None:
    with pytest.raises(InvalidOption, match="a scene needs track"):
        StreamOptions(scene=Scene())


async def test_a_stream_reports_the_events_of_its_scene(stub: pb_grpc.SegmentationServiceStub) -> None:
    whole = Zone("all", ((0, 0), (1, 0), (1, 1), (0, 1)))
    options = StreamOptions(policy="all", track=True, scene=Scene((whole,)))
    first = pb.Frame(options=stream_options_to_proto(options, model=None, version=None))
    picture = encode_picture(60, 30)
    frames = (pb.Frame(frame_id=number, image=picture) for number in range(3))
    results = [result async for result in stub.SegmentStream(iter([first, *frames]))]
    reports = [report_from_proto(result.report) for result in results]
    assert [[event.kind for event in report.events] for report in reports] == [[], ["new", "entered"], []]
    assert reports[-1].zones[0].present == reports[-1].zones[0].entered == {"cat": 1}
