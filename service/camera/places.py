"""Zones, lines and limits as people type them on the command line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from service.errors import InvalidOption, shorten
from service.events.scene import Anchor, Area, Direction, Limits, Line, Point, Scene, Unit, Zone

SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")
NUMBER = r"[+-]?\d+(?:\.\d+)?"
POINT = re.compile(rf"({NUMBER})(%?),({NUMBER})(%?)")
AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(%?)")
EXAMPLE = '"yard=50%,0% 100%,0% 100%,100% 50%,100%"'


@dataclass(frozen=True, slots=True)
class SceneArguments:
    """The options of the command, each as often as it was given."""

    zones: Sequence[str] = ()
    lines: Sequence[str] = ()
    ignored: Sequence[str] = ()
    min_areas: Sequence[str] = ()
    min_times: Sequence[str] = ()
    anchor: Anchor = "bottom"
    update_s: float | None = None

    @property
    def given(self) -> bool:
        """True where one of them asks for events."""
        return any((self.zones, self.lines, self.ignored, self.min_areas, self.min_times, self.update_s))


def parse_scene(arguments: SceneArguments) -> Scene:
    """The scene that the options describe; raises InvalidOption."""
    return Scene(
        zones=tuple(map(parse_zone, arguments.zones)),
        lines=tuple(map(parse_line, arguments.lines)),
        ignored=tuple(Area(*_parse_points(text, "--ignore")) for text in arguments.ignored),
        limits=_parse_limits(arguments.min_areas, arguments.min_times),
        anchor=arguments.anchor,
        update_s=arguments.update_s,
    )


def parse_zone(text: str) -> Zone:
    """A zone by "NAME[:CLASS,...][:SECONDSs]=X,Y X,Y X,Y ..."; raises InvalidOption.

    >>> parse_zone("yard:person,dog:2s=50%,0% 100%,0% 100%,100%").min_s
    2.0
    """
    name, extras, points = _split(text, "--zone")
    corners, unit = _parse_points(points, f"--zone {name}")
    zone = Zone(name, corners, unit)
    for extra in extras:
        seconds = SECONDS.fullmatch(extra)
        zone = replace(zone, min_s=float(seconds[1])) if seconds else replace(zone, classes=_labels(extra))
    return zone


def parse_line(text: str) -> Line:
    """A line by "NAME[:CLASS,...][:in|:out]=X,Y X,Y"; raises InvalidOption.

    >>> parse_line("gate:in=0%,50% 100%,50%").direction
    'in'
    """
    name, extras, points = _split(text, "--line")
    ends, unit = _parse_points(points, f"--line {name}")
    if len(ends) != 2:
        raise InvalidOption(f"--line {name}: expected two points, its start and its end, got {len(ends)}")
    line, ways = Line(name, *ends, unit), dict[str, Direction]({"in": "in", "out": "out"})
    for extra in extras:
        if extra in ways:
            line = replace(line, direction=ways[extra])
        else:
            line = replace(line, classes=_labels(extra))
    return line


def read_secret(text: str | None) -> str | None:
    """The secret itself, or the first line of the file after "@"; raises InvalidOption."""
    if text is None or not text.startswith("@"):
        return text or None
    try:
        lines = Path(text[1:]).read_text().splitlines()
    except (OSError, UnicodeError) as error:
        raise InvalidOption(f"--webhook-secret {text}: {error}") from error
    if not lines or not lines[0].strip():
        raise InvalidOption(f"--webhook-secret {text}: the first line of the file is empty")
    return lines[0].strip()


def _parse_limits(areas: Sequence[str], times: Sequence[str]) -> tuple[Limits, ...]:
    """One for each class that is named; a class without an area or a time of its own has those of all."""
    by_area = dict(_parse_amount(text, "--min-area") for text in areas)
    by_time = dict(_parse_amount(text, "--min-time") for text in times)
    if any(unit == "shares" for _, unit in by_time.values()):
        raise InvalidOption("--min-time: expected seconds, as person=0.5, got a percentage")
    nothing: tuple[float, Unit] = (0.0, "shares")
    return tuple(
        Limits(
            label,
            *by_area.get(label, by_area.get(None, nothing)),
            by_time.get(label, by_time.get(None, nothing))[0],
        )
        for label in {**by_area, **by_time}
    )


def _parse_amount(text: str, option: str) -> tuple[str | None, tuple[float, Unit]]:
    """A class, None for all, and its amount: in shares where the text has a percentage."""
    label, _, amount = text.rpartition("=")
    found = AMOUNT.fullmatch(amount.strip())
    if found is None:
        raise InvalidOption(f"{option} {shorten(text, 60)}: expected [CLASS=]NUMBER, as person=1% or 0.5")
    value = float(found[1])
    return label.strip() or None, (value / 100, "shares") if found[2] else (value, "pixels")


def _split(text: str, option: str) -> tuple[str, list[str], str]:
    """The name, what stands after its colons, and the points."""
    head, equals, points = text.partition("=")
    name, *extras = (part.strip() for part in head.split(":"))
    if not equals or not name:
        raise InvalidOption(f"{option} {shorten(text, 60)}: expected NAME=POINTS, as {EXAMPLE}")
    return name, extras, points


def _parse_points(text: str, option: str) -> tuple[tuple[Point, ...], Unit]:
    """The points and their unit: percentages are shares of the picture, plain numbers are pixels."""
    found = [POINT.fullmatch(word) for word in text.split()]
    signs = {sign for match in found if match for sign in match.group(2, 4)}
    if not found or None in found or len(signs) > 1:
        raise InvalidOption(
            f"{option}: expected points X,Y with spaces between them, all in percent of the picture or all "
            f"in pixels, as {EXAMPLE}; got {shorten(text, 60)!r}"
        )
    scale = 100 if signs == {"%"} else 1
    points = tuple((float(match[1]) / scale, float(match[3]) / scale) for match in found if match)
    return points, "shares" if scale == 100 else "pixels"


def _labels(text: str) -> tuple[str, ...]:
    labels = tuple(label.strip() for label in text.split(",") if label.strip())
    if not labels:
        raise InvalidOption(f"no class between the colons of a zone or line; an example of a zone: {EXAMPLE}")
    return labels
