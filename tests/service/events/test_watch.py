"""The engine of events on tracks that are worked out by hand, in a picture of 200 x 100 pixels."""

from collections.abc import Iterable

import pytest

from service.events.report import Event, Report
from service.events.scene import Area, Limits, Line, Scene, Zone
from service.events.watch import Watch, end_watch, watch_instances
from service.types import BackendInfo, Instance, Segmentation, Size

IMAGE = Size(100, 200)
BACKEND = BackendInfo("fake", "1.0", "fp32", 1, ("CPU",), ("CPU",))
YARD = Zone("yard", ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)))  # the right half: x from 100 on
GATE = Line("gate", (0.5, 1.0), (0.5, 0.0))  # x = 100, seen from below: in is from left to right


def at(x: float, y: float = 50, *, track_id: int | None = 1, label: str = "person") -> Instance:
    """An object of 20 x 20 pixels whose lower edge has its middle at (x, y): its margin is 1 pixel."""
    return Instance(label, 1, 0.9, (x - 10, y - 20, 20, 20), None, None, track_id=track_id)


def run(scene: Scene, *frames: Iterable[Instance], memory_s: float = 1.0) -> list[Report]:
    """The report of each frame, one second apart, and that of the end."""
    watch, reports = Watch(scene, memory_s), []
    for second, instances in enumerate(frames):
        found = Segmentation(IMAGE, tuple(instances), "toy", "1", BACKEND)
        watch, report = watch_instances(watch, found, time_s=float(second))
        reports.append(report)
    return [*reports, end_watch(watch)[1]]


def kinds(reports: Iterable[Report]) -> list[list[str]]:
    return [[tell(event) for event in report.events] for report in reports]


def tell(event: Event) -> str:
    return " ".join(filter(None, (event.kind, event.place, event.direction)))


def test_an_object_is_new_enters_a_zone_leaves_it_and_is_gone() -> None:
    reports = run(Scene((YARD,)), [at(50)], [at(120)], [at(150)], [at(60)], [], [])
    assert kinds(reports) == [["new"], ["entered yard"], [], ["left yard"], [], ["gone"], []]
    assert [dict(report.zones[0].present) for report in reports[:4]] == [{}, {"person": 1}, {"person": 1}, {}]
    assert reports[-1].zones[0].entered == {"person": 1}
    left, gone = reports[3].events[0], reports[5].events[0]
    assert (left.time_s, left.seconds) == (3.0, 2.0)
    assert (gone.time_s, gone.seconds, gone.bbox) == (3.0, 3.0, at(60).bbox)


def test_an_object_that_is_gone_leaves_its_zones_first() -> None:
    reports = run(Scene((YARD,)), [at(150)], [], [])
    assert kinds(reports) == [["new", "entered yard"], [], ["left yard", "gone"], []]
    assert reports[1].zones[0].present == {"person": 1}  # only out of sight
    assert reports[2].zones[0].present == {}


def test_all_objects_are_gone_at_the_end() -> None:
    assert kinds(run(Scene(), [at(50), at(150, track_id=2)])) == [["new", "new"], ["gone", "gone"]]


def test_an_object_that_comes_back_within_the_memory_is_the_same() -> None:
    assert kinds(run(Scene(), [at(50)], [], [at(60)], memory_s=2.0)) == [["new"], [], [], ["gone"]]


def test_crossings_are_counted_by_direction_and_class() -> None:
    frames = [
        [at(80), at(130, track_id=2, label="car")],
        [at(120), at(90, track_id=2, label="car")],
        [at(90), at(60, track_id=2, label="car")],
    ]
    reports = run(Scene(lines=(GATE,)), *frames)
    assert kinds(reports)[1:3] == [["crossed gate in", "crossed gate out"], ["crossed gate out"]]
    assert reports[-1].lines[0].inward == {"person": 1}
    assert reports[-1].lines[0].outward == {"car": 1, "person": 1}


def test_a_line_of_one_direction_counts_no_other() -> None:
    one_way = Line("gate", GATE.start, GATE.end, direction="in")
    assert kinds(run(Scene(lines=(one_way,)), [at(80)], [at(120)], [at(80)]))[1:3] == [
        ["crossed gate in"],
        [],
    ]


def test_who_walks_around_the_end_of_a_line_does_not_cross_it() -> None:
    short = Line("gate", (0.5, 0.4), (0.5, 0.0))
    assert kinds(run(Scene(lines=(short,)), [at(80, 90)], [at(120, 90)], [at(120, 20)]))[:3] == [
        ["new"],
        [],
        [],
    ]


def test_a_box_that_shakes_on_an_edge_neither_crosses_nor_enters_twice() -> None:
    scene = Scene((YARD,), (GATE,))
    reports = run(scene, [at(90)], [at(105)], [at(99.5)], [at(100.5)], [at(99.2)], [at(105)])
    assert kinds(reports)[1:6] == [["entered yard", "crossed gate in"], [], [], [], []]


def test_a_jump_over_a_zone_enters_nothing_and_a_jump_over_a_line_crosses_it() -> None:
    strip = Zone("strip", ((0.45, 0), (0.55, 0), (0.55, 1), (0.45, 1)))
    assert kinds(run(Scene((strip,), (GATE,)), [at(50)], [at(150)]))[1] == ["crossed gate in"]


def test_who_only_passes_through_does_not_enter_a_zone_that_asks_for_time() -> None:
    patient = Zone("yard", YARD.corners, min_s=2.0)
    reports = run(Scene((patient,)), [at(120)], [at(50)], [at(120)], [at(130)], [at(140)], [at(50)])
    assert kinds(reports)[:6] == [["new"], [], [], [], ["entered yard"], ["left yard"]]
    assert reports[5].events[0].seconds == 3.0  # from when it came in, not from when it counted


def test_an_object_that_is_short_in_sight_is_no_object() -> None:
    scene = Scene((YARD,), limits=(Limits("person", min_s=2.0),))
    assert kinds(run(scene, [at(120)], [at(120)], [], [])) == [[], [], [], [], []]


def test_what_happens_before_an_object_counts_is_reported_when_it_counts() -> None:
    scene = Scene(lines=(GATE,), limits=(Limits(min_s=2.0),))
    reports = run(scene, [at(80)], [at(120)], [at(150)])
    assert kinds(reports)[:3] == [[], [], ["new", "crossed gate in"]]
    assert [event.time_s for event in reports[2].events] == [2.0, 1.0]
    assert reports[1].lines[0].inward == {}
    assert reports[2].lines[0].inward == {"person": 1}


@pytest.mark.parametrize(("share", "counts"), [(0.02, True), (0.021, False)])
def test_small_objects_are_no_objects(share: float, counts: bool) -> None:
    # 20 x 20 of 200 x 100 pixels are 2 percent
    assert (kinds(run(Scene(limits=(Limits(min_area=share),)), [at(50)]))[0] == ["new"]) is counts


def test_the_limits_of_a_class_go_before_those_of_all() -> None:
    scene = Scene(limits=(Limits(min_area=0.5), Limits("car", min_area=400, unit="pixels")))
    assert [event.label for event in run(scene, [at(50), at(90, track_id=2, label="car")])[0].events] == [
        "car"
    ]


def test_objects_in_an_area_to_ignore_are_not_seen() -> None:
    scene = Scene(ignored=(Area(YARD.corners),))
    assert kinds(run(scene, [at(50)], [at(120)], [at(120)])) == [["new"], [], ["gone"], []]


def test_a_zone_for_some_classes_counts_no_other() -> None:
    scene = Scene((Zone("yard", YARD.corners, classes=("car",)),))
    assert kinds(run(scene, [at(150), at(150, track_id=2, label="car")]))[0] == ["new", "new", "entered yard"]


def test_an_instance_without_an_identity_does_not_count() -> None:
    assert kinds(run(Scene(), [at(50, track_id=None)])) == [[], []]


def test_a_change_of_label_and_the_time_are_reasons_for_an_update() -> None:
    frames = [[at(50)], [at(50, label="dog")], [at(50, label="dog")], [at(50, label="dog")]]
    assert kinds(run(Scene(update_s=2.0), *frames))[:4] == [["new"], ["updated"], [], ["updated"]]


def test_pixels_mean_the_same_as_shares() -> None:
    in_pixels = Zone("yard", ((100, 0), (200, 0), (200, 100), (100, 100)), "pixels")
    frames = [[at(50)], [at(120)]]
    assert kinds(run(Scene((in_pixels,)), *frames)) == kinds(run(Scene((YARD,)), *frames))


def test_the_middle_of_a_box_can_stand_for_an_object() -> None:
    lower = Zone("lower", ((0, 0.5), (1, 0.5), (1, 1), (0, 1)))
    assert kinds(run(Scene((lower,)), [at(50, 55)]))[0] == ["new", "entered lower"]
    assert kinds(run(Scene((lower,), anchor="centre"), [at(50, 55)]))[0] == ["new"]


def test_a_clock_that_goes_back_stands_still_and_goes_on_from_there() -> None:
    watch, told = Watch(Scene((YARD,))), list[Event]()
    for time_s, instances in ((8.0, [at(120)]), (9.0, [at(120)]), (1.0, []), (1.5, []), (2.5, [])):
        found = Segmentation(IMAGE, tuple(instances), "toy", "1", BACKEND)
        watch, report = watch_instances(watch, found, time_s=time_s)
        told += report.events
    assert [event.kind for event in told] == ["new", "entered", "left", "gone"]
    assert [(event.time_s, event.seconds) for event in told[2:]] == [(1.0, 1.0)] * 2
