"""The scene of a live stream in JSON: its schema, and the scene that it describes."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from service.events.scene import (
    MOST_CORNERS,
    MOST_NAME,
    MOST_PLACES,
    Anchor,
    Area,
    Direction,
    Limits,
    Line,
    Point,
    Scene,
    Unit,
    Zone,
)
from service.rest.schemas import Schema

Corner = Annotated[list[float], Field(min_length=2, max_length=2, description="x, y")]
Corners = Annotated[list[Corner], Field(min_length=3, max_length=MOST_CORNERS)]
Name = Annotated[str, Field(min_length=1, max_length=MOST_NAME)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Labels = Annotated[list[str] | None, Field(min_length=1, description="The labels that count. Default: all.")]
Measure = Annotated[
    Unit, Field(description="`shares` of the picture's width, height or area, from 0 to 1, or `pixels`.")
]


class ZoneOptions(Schema):
    """A named polygon that objects enter and leave."""

    name: Name
    corners: Corners
    unit: Measure = "shares"
    classes: Labels = None
    min_s: Annotated[Amount, Field(description="Seconds inside after which an object has entered.")] = 0.0


class LineOptions(Schema):
    """A named line that objects cross: `in` is from left to right for who looks from start to end."""

    name: Name
    start: Corner
    end: Corner
    unit: Measure = "shares"
    direction: Annotated[Direction | None, Field(description="Crossings to report. Default: both.")] = None
    classes: Labels = None


class AreaOptions(Schema):
    """A polygon in which no object is seen."""

    corners: Corners
    unit: Measure = "shares"


class LimitOptions(Schema):
    """The objects that count: those that were once so large, and have been in sight for so long."""

    label: Annotated[str | None, Field(description="Default: every class without limits of its own.")] = None
    min_area: Amount = 0.0
    unit: Measure = "shares"
    min_s: Amount = 0.0


class SceneOptions(Schema):
    """Zones, lines, areas to ignore, and the objects that count."""

    zones: Annotated[list[ZoneOptions], Field(max_length=MOST_PLACES)] = []  # noqa: RUF012  # pydantic copies
    lines: Annotated[list[LineOptions], Field(max_length=MOST_PLACES)] = []  # noqa: RUF012
    ignored: Annotated[list[AreaOptions], Field(max_length=MOST_PLACES)] = []  # noqa: RUF012
    limits: Annotated[list[LimitOptions], Field(max_length=1000)] = []  # noqa: RUF012
    anchor: Annotated[
        Anchor,
        Field(description="The point of a box that stands for the object: on its lower edge or its centre."),
    ] = "bottom"
    update_s: Annotated[
        float | None,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Seconds between two events `updated` of one object. Default: only for a new label.",
        ),
    ] = None


def scene_from_json(asked: SceneOptions) -> Scene:
    """The scene; raises InvalidOption where a zone, line or name cannot be used."""
    return Scene(
        zones=tuple(map(_read_zone, asked.zones)),
        lines=tuple(map(_read_line, asked.lines)),
        ignored=tuple(Area(_read_points(area.corners), area.unit) for area in asked.ignored),
        limits=tuple(Limits(one.label, one.min_area, one.unit, one.min_s) for one in asked.limits),
        anchor=asked.anchor,
        update_s=asked.update_s,
    )


def _read_zone(zone: ZoneOptions) -> Zone:
    return Zone(zone.name, _read_points(zone.corners), zone.unit, _read_labels(zone.classes), zone.min_s)


def _read_line(line: LineOptions) -> Line:
    start, end = _read_points([line.start, line.end])
    return Line(line.name, start, end, line.unit, line.direction, _read_labels(line.classes))


def _read_points(points: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    return tuple((x, y) for x, y in points)


def _read_labels(labels: list[str] | None) -> tuple[str, ...] | None:
    return None if labels is None else tuple(labels)
