"""The events of one frame and the counts of zones and lines, and both as JSON.

The client package carries this module too, so it imports nothing but the scene.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from service.events.scene import Direction

EventKind: TypeAlias = Literal["new", "updated", "gone", "entered", "left", "crossed"]
Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one object.

    kind: an object is "new", "updated" or "gone", has "entered" or "left" a zone, or has "crossed" a line.
    time_s: seconds of the clock by which the frames were captured. An object that is gone, and what it leaves
        by that, has the time when it was last seen; this is known only later.
    track_id, label, score, bbox: those of the object, when it was last seen.
    place: the name of the zone or line; None for the first three kinds.
    direction: of a crossing.
    seconds: how long a gone object was in sight, or an object that leaves was in the zone; None otherwise.
    """

    kind: EventKind
    time_s: float
    track_id: int
    label: str
    score: float
    bbox: tuple[float, float, float, float]
    place: str | None = None
    direction: Direction | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ZoneCount:
    """The objects in a zone now (`present`), and all that have entered it so far; both by label."""

    name: str
    present: Mapping[str, int]
    entered: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LineCount:
    """The crossings of a line so far, by label."""

    name: str
    inward: Mapping[str, int]
    outward: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """The events of a frame, and the counts after it, of every zone and line of the scene in its order."""

    events: tuple[Event, ...]
    zones: tuple[ZoneCount, ...]
    lines: tuple[LineCount, ...]


def event_to_json(event: Event) -> Json:
    """The event without the fields that its kind does not have."""
    content: Json = {
        "event": event.kind,
        "time_s": event.time_s,
        "track_id": event.track_id,
        "label": event.label,
        "score": event.score,
        "bbox": event.bbox,
        "line" if event.kind == "crossed" else "zone": event.place,
        "direction": event.direction,
        "seconds": event.seconds,
    }
    return {name: value for name, value in content.items() if value is not None}


def report_to_json(report: Report) -> Json:
    """The events and counts of a frame, as a live stream sends them."""
    return {"events": [event_to_json(event) for event in report.events], **counts_to_json(report)}


def counts_to_json(report: Report) -> Json:
    """The counts alone, by the names of zones and lines."""
    return {
        "zones": {
            zone.name: {"present": dict(zone.present), "entered": dict(zone.entered)} for zone in report.zones
        },
        "lines": {line.name: {"in": dict(line.inward), "out": dict(line.outward)} for line in report.lines},
    }
