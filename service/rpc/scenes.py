"""The scene of a stream from its message, and reports of events to messages."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from service.errors import InvalidOption
from service.events.report import Event, EventKind, Report
from service.events.scene import Anchor, Area, Direction, Limits, Line, Point, Scene, Unit, Zone
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.messages import refuse_unknown

T = TypeVar("T")

UNITS: Mapping[int, Unit] = {
    pb.UNIT_UNSPECIFIED: "shares",
    pb.UNIT_SHARES: "shares",
    pb.UNIT_PIXELS: "pixels",
}
ANCHORS: Mapping[int, Anchor] = {
    pb.ANCHOR_UNSPECIFIED: "bottom",
    pb.ANCHOR_BOTTOM: "bottom",
    pb.ANCHOR_CENTRE: "centre",
}
DIRECTIONS: Mapping[int, Direction | None] = {
    pb.DIRECTION_UNSPECIFIED: None,
    pb.DIRECTION_IN: "in",
    pb.DIRECTION_OUT: "out",
}
DIRECTION_NUMBERS: Mapping[Direction | None, pb.Direction] = {
    None: pb.DIRECTION_UNSPECIFIED,
    "in": pb.DIRECTION_IN,
    "out": pb.DIRECTION_OUT,
}
KIND_NUMBERS: Mapping[EventKind, pb.EventKind] = {
    "new": pb.EVENT_KIND_NEW,
    "updated": pb.EVENT_KIND_UPDATED,
    "gone": pb.EVENT_KIND_GONE,
    "entered": pb.EVENT_KIND_ENTERED,
    "left": pb.EVENT_KIND_LEFT,
    "crossed": pb.EVENT_KIND_CROSSED,
}


def scene_from_proto(asked: pb.Scene) -> Scene:
    """The scene of a stream; raises InvalidOption where a part of it is unknown or cannot be used."""
    for message in (asked, *asked.zones, *asked.lines, *asked.ignored, *asked.limits):
        refuse_unknown(message)
    return Scene(
        zones=tuple(map(_read_zone, asked.zones)),
        lines=tuple(map(_read_line, asked.lines)),
        ignored=tuple(Area(_read_points(area.corners), _read_unit(area.unit)) for area in asked.ignored),
        limits=tuple(
            Limits(one.label or None, one.min_area, _read_unit(one.unit), one.min_s) for one in asked.limits
        ),
        anchor=_look_up(ANCHORS, asked.anchor, "anchor"),
        update_s=asked.update_s if asked.HasField("update_s") else None,
    )


def report_to_proto(report: Report) -> pb.Report:
    """The message with the same content as the live stream's JSON."""
    return pb.Report(
        events=[_event_to_proto(event) for event in report.events],
        zones=[
            pb.ZoneCount(name=zone.name, present=zone.present, entered=zone.entered) for zone in report.zones
        ],
        lines=[
            pb.LineCount(name=line.name, inward=line.inward, outward=line.outward) for line in report.lines
        ],
    )


def _event_to_proto(event: Event) -> pb.Event:
    return pb.Event(
        kind=KIND_NUMBERS[event.kind],
        time_s=event.time_s,
        track_id=event.track_id,
        label=event.label,
        score=event.score,
        bbox=event.bbox,
        place=event.place or "",
        direction=DIRECTION_NUMBERS[event.direction],
        seconds=event.seconds,
    )


def _read_zone(zone: pb.Zone) -> Zone:
    unit, classes = _read_unit(zone.unit), tuple(zone.classes) or None
    return Zone(zone.name, _read_points(zone.corners), unit, classes, zone.min_s)


def _read_line(line: pb.Line) -> Line:
    ends = _read_points(line.ends)
    if len(ends) != 2:
        raise InvalidOption(f"line {line.name} has {len(line.ends)} numbers in ends, expected x, y, x, y")
    direction = _look_up(DIRECTIONS, line.direction, "direction")
    return Line(line.name, *ends, _read_unit(line.unit), direction, tuple(line.classes) or None)


def _read_points(values: Sequence[float]) -> tuple[Point, ...]:
    if len(values) % 2:
        raise InvalidOption(f"{len(values)} coordinates cannot be points: give x, y, x, y, ...")
    return tuple(zip(values[::2], values[1::2], strict=True))


def _read_unit(value: int) -> Unit:
    return _look_up(UNITS, value, "unit")


def _look_up(known: Mapping[int, T], value: int, name: str) -> T:
    if value not in known:
        raise InvalidOption(f"{name} is {value}, which this service does not know")
    return known[value]
