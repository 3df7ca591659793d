"""One sighting of an object at one zone or one line: its stay, its crossing, and the event of that."""

import math
from dataclasses import dataclass, replace

from service.events.geometry import distance_to_outline, do_cross, is_inside, measure_side
from service.events.report import Event, EventKind
from service.events.scene import Direction, Line, Point, Scene, Zone
from service.types import Instance, Size

JITTER = 0.05  # sizes of an object: boxes shake by a few hundredths, which must not count as a crossing


@dataclass(frozen=True, slots=True)
class Sight:
    """One sighting: an instance of a frame of this size, at `now` seconds.

    point: its anchor, image frame. margin: pixels by which it must be over an edge to have crossed it.
    """

    instance: Instance
    image: Size
    now: float
    point: Point
    margin: float


@dataclass(frozen=True, slots=True)
class Stay:
    """An object's time in a zone: from when on, and whether it has been reported to have entered."""

    since_s: float
    entered: bool = False


def sight_instance(scene: Scene, instance: Instance, *, image: Size, now: float) -> Sight:
    """The sighting of an instance, with the anchor of the scene."""
    _, _, width, height = instance.bbox
    return Sight(instance, image, now, scene.anchor_of(instance), JITTER * math.sqrt(width * height))


def visit_zone(
    sight: Sight, zone: Zone, *, corners: tuple[Point, ...], stay: Stay | None
) -> tuple[Stay | None, list[Event]]:
    """The object's stay in a zone after a sighting, and the event of that.

    An object that is on the edge, within the margin, stays where it was before.
    """
    inside = is_inside(corners, sight.point)
    on_edge = stay is not None and distance_to_outline(corners, sight.point) <= sight.margin
    wanted = zone.classes is None or sight.instance.label in zone.classes
    if not wanted or not (inside or on_edge):
        return None, leave_zone(zone.name, stay, instance=sight.instance, now=sight.now)
    stay = stay or Stay(sight.now)
    if stay.entered or sight.now - stay.since_s < zone.min_s:
        return stay, []
    return replace(stay, entered=True), [
        describe_event(sight.instance, "entered", now=sight.now, place=zone.name)
    ]


def leave_zone(name: str, stay: Stay | None, *, instance: Instance, now: float) -> list[Event]:
    """The event "left", where the object had entered."""
    if stay is None or not stay.entered:
        return []
    return [replace(describe_event(instance, "left", now=now, place=name), seconds=now - stay.since_s)]


def cross_line(sight: Sight, line: Line, *, ends: tuple[Point, Point], before: Point | None) -> list[Event]:
    """The crossing of a line between the last clear point before and this one, if there is one to report."""
    if before is None or not do_cross(ends, (before, sight.point)):
        return []
    direction: Direction = "in" if measure_side(*ends, sight.point) > 0 else "out"
    wanted = line.classes is None or sight.instance.label in line.classes
    if not wanted or line.direction not in (None, direction):
        return []
    return [
        replace(
            describe_event(sight.instance, "crossed", now=sight.now, place=line.name), direction=direction
        )
    ]


def describe_event(instance: Instance, kind: EventKind, *, now: float, place: str | None = None) -> Event:
    """The event of an object with an identity."""
    assert instance.track_id is not None
    return Event(kind, now, instance.track_id, instance.label, instance.score, instance.bbox, place)
