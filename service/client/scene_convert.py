"""The scene of a stream to its message, and reports of events from messages."""

from collections.abc import Iterable, Mapping

from service.events.report import Event, EventKind, LineCount, Report, ZoneCount
from service.events.scene import Anchor, Direction, Point, Scene, Unit
from service.rpc.generated import segmentation_pb2 as pb

UNITS: Mapping[Unit, pb.Unit] = {"shares": pb.UNIT_SHARES, "pixels": pb.UNIT_PIXELS}
ANCHORS: Mapping[Anchor, pb.Anchor] = {"bottom": pb.ANCHOR_BOTTOM, "centre": pb.ANCHOR_CENTRE}
DIRECTIONS: Mapping[Direction | None, pb.Direction] = {
    None: pb.DIRECTION_UNSPECIFIED,
    "in": pb.DIRECTION_IN,
    "out": pb.DIRECTION_OUT,
}
WAYS: Mapping[int, Direction] = {pb.DIRECTION_IN: "in", pb.DIRECTION_OUT: "out"}
KINDS: Mapping[int, EventKind] = {
    pb.EVENT_KIND_NEW: "new",
    pb.EVENT_KIND_UPDATED: "updated",
    pb.EVENT_KIND_GONE: "gone",
    pb.EVENT_KIND_ENTERED: "entered",
    pb.EVENT_KIND_LEFT: "left",
    pb.EVENT_KIND_CROSSED: "crossed",
}


def scene_to_proto(scene: Scene) -> pb.Scene:
    """The zones, lines, areas and limits of a stream."""
    return pb.Scene(
        zones=[
            pb.Zone(
                name=zone.name,
                corners=_flatten(zone.corners),
                unit=UNITS[zone.unit],
                classes=zone.classes or (),
                min_s=zone.min_s,
            )
            for zone in scene.zones
        ],
        lines=[
            pb.Line(
                name=line.name,
                ends=(*line.start, *line.end),
                unit=UNITS[line.unit],
                direction=DIRECTIONS[line.direction],
                classes=line.classes or (),
            )
            for line in scene.lines
        ],
        ignored=[pb.Area(corners=_flatten(area.corners), unit=UNITS[area.unit]) for area in scene.ignored],
        limits=[
            pb.Limits(label=one.label or "", min_area=one.min_area, unit=UNITS[one.unit], min_s=one.min_s)
            for one in scene.limits
        ],
        anchor=ANCHORS[scene.anchor],
        update_s=scene.update_s,
    )


def report_from_proto(message: pb.Report) -> Report:
    """The events of a frame and the counts after it; kinds that a newer server adds are left out."""
    return Report(
        events=tuple(_event_from_proto(event) for event in message.events if event.kind in KINDS),
        zones=tuple(ZoneCount(zone.name, dict(zone.present), dict(zone.entered)) for zone in message.zones),
        lines=tuple(LineCount(line.name, dict(line.inward), dict(line.outward)) for line in message.lines),
    )


def _event_from_proto(event: pb.Event) -> Event:
    x, y, width, height = event.bbox
    return Event(
        kind=KINDS[event.kind],
        time_s=event.time_s,
        track_id=event.track_id,
        label=event.label,
        score=event.score,
        bbox=(x, y, width, height),
        place=event.place or None,
        direction=WAYS.get(event.direction),
        seconds=event.seconds if event.HasField("seconds") else None,
    )


def _flatten(points: Iterable[Point]) -> list[float]:
    return [value for point in points for value in point]
