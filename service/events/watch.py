"""The engine of events: the memory of a stream and one more frame in, the new memory and a report out.

An object is reported once it fulfils the limits of its class. Events of the time before are held back until
then, so that somebody who crosses a line in the first second still counts.

>>> from service.types import BackendInfo, Instance, Segmentation, Size
>>> from service.events.scene import Line, Scene
>>> backend = BackendInfo("onnx", "1.31", "fp32", 1, (), ())
>>> def frame(x: float) -> Segmentation:
...     cat = Instance("cat", 17, 0.9, (x, 40.0, 20.0, 20.0), None, None, track_id=1)
...     return Segmentation(Size(100, 200), (cat,), "toy", "1", backend)
>>> watch = Watch(Scene(lines=(Line("gate", (0.5, 1.0), (0.5, 0.0)),)))
>>> for number in range(3):
...     watch, report = watch_instances(watch, frame(x=40.0 + 40 * number), time_s=float(number))
...     print([event.kind for event in report.events], report.lines[0].inward)
['new'] {}
[] {}
['crossed'] {'cat': 1}
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias

from service.events.geometry import is_inside, measure_side
from service.events.report import Event, LineCount, Report, ZoneCount
from service.events.scene import Line, Point, Scene, Zone, points_in_pixels
from service.events.visits import (
    Sight,
    Stay,
    cross_line,
    describe_event,
    leave_zone,
    sight_instance,
    visit_zone,
)
from service.types import Instance, Segmentation, Size

Totals: TypeAlias = Mapping[tuple[str, str, str], int]
"""The number of entries and crossings so far, by place, direction ("" for entries) and label."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One object: when it was seen, and where it is.

    instance: as it was last seen. area: its largest so far, in pixels.
    updated_s: when "new" or the last "updated" was reported.
    stays: by zone. clear_points: by line, the last anchor that was clearly on one side of it.
    held: the events that wait until the object is `reported`.
    """

    instance: Instance
    first_s: float
    last_s: float
    area: float = 0.0
    updated_s: float = 0.0
    reported: bool = False
    stays: Mapping[str, Stay] = field(default_factory=dict)
    clear_points: Mapping[str, Point] = field(default_factory=dict)
    held: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """The memory of a stream at `time_s`; objects that are out of sight for `memory_s` seconds are gone."""

    scene: Scene
    memory_s: float = 1.0
    objects: Mapping[int, Watched] = field(default_factory=dict)
    totals: Totals = field(default_factory=dict)
    time_s: float = -math.inf


def watch_instances(watch: Watch, found: Segmentation, *, time_s: float) -> tuple[Watch, Report]:
    """The memory after one more frame, and its report.

    Only instances with a `track_id` count. Where the clock goes back, it counts as standing still. An object
    that is out of sight keeps its place in its zones until it is gone.
    """
    now, known = time_s, watch.objects
    if now < watch.time_s:
        known = {track_id: _shift_times(one, now - watch.time_s) for track_id, one in known.items()}
    seen = _choose_instances(watch.scene, found)
    events: list[Event] = []
    objects: dict[int, Watched] = {}
    for track_id, watched in known.items():
        if track_id in seen or now - watched.last_s <= watch.memory_s:
            objects[track_id] = watched
        else:
            events += _end_object(watched)
    for track_id, instance in seen.items():
        sight = sight_instance(watch.scene, instance, image=found.image, now=now)
        before = objects.get(track_id) or Watched(instance, now, now, updated_s=now)
        objects[track_id], happened = _see_object(watch.scene, before, sight)
        events += happened
    return _conclude(watch, objects, events=events, now=now)


def end_watch(watch: Watch) -> tuple[Watch, Report]:
    """The memory without objects, and the report that all of them are gone: for the end of a stream."""
    events = [event for watched in watch.objects.values() for event in _end_object(watched)]
    return _conclude(watch, {}, events=events, now=watch.time_s)


def _conclude(
    watch: Watch, objects: Mapping[int, Watched], *, events: Iterable[Event], now: float
) -> tuple[Watch, Report]:
    happened = tuple(events)
    entries = Counter(
        (event.place or "", event.direction or "", event.label)
        for event in happened
        if event.kind in ("entered", "crossed")
    )
    totals = Counter(watch.totals) + entries
    after = replace(watch, objects=objects, totals=totals, time_s=now)
    zones = tuple(
        ZoneCount(zone.name, _count_present(zone, objects), _count_totals(totals, zone.name, ""))
        for zone in watch.scene.zones
    )
    lines = tuple(
        LineCount(line.name, _count_totals(totals, line.name, "in"), _count_totals(totals, line.name, "out"))
        for line in watch.scene.lines
    )
    return after, Report(happened, zones, lines)


def _shift_times(watched: Watched, seconds: float) -> Watched:
    """The object by a clock that was set by so many seconds; its durations stay the same."""
    stays = {name: replace(stay, since_s=stay.since_s + seconds) for name, stay in watched.stays.items()}
    return replace(
        watched,
        first_s=watched.first_s + seconds,
        last_s=watched.last_s + seconds,
        updated_s=watched.updated_s + seconds,
        stays=stays,
    )


def _count_present(zone: Zone, objects: Mapping[int, Watched]) -> Mapping[str, int]:
    return dict(
        Counter(
            watched.instance.label
            for watched in objects.values()
            if watched.reported and zone.name in watched.stays and watched.stays[zone.name].entered
        )
    )


def _count_totals(totals: Totals, name: str, direction: str) -> Mapping[str, int]:
    return {
        label: count for (place, way, label), count in totals.items() if (place, way) == (name, direction)
    }


def _choose_instances(scene: Scene, found: Segmentation) -> dict[int, Instance]:
    """The instances that have an identity and are not in an area to ignore, by their identities."""
    ignored = _place_areas(scene, found.image)
    return {
        one.track_id: one
        for one in found.instances
        if one.track_id is not None and not any(is_inside(area, scene.anchor_of(one)) for area in ignored)
    }


def _see_object(scene: Scene, before: Watched, sight: Sight) -> tuple[Watched, tuple[Event, ...]]:
    """The object after one more sighting, and its events that are reported now."""
    stays, events = dict(before.stays), list(before.held)
    for zone, corners in _place_zones(scene, sight.image):
        stay, happened = visit_zone(sight, zone, corners=corners, stay=stays.pop(zone.name, None))
        stays |= {zone.name: stay} if stay else {}
        events += happened
    clear_points = dict(before.clear_points)
    for line, ends in _place_lines(scene, sight.image):
        if abs(measure_side(*ends, sight.point)) > sight.margin:
            events += cross_line(sight, line, ends=ends, before=clear_points.get(line.name))
            clear_points[line.name] = sight.point
    after = replace(
        before,
        instance=sight.instance,
        last_s=sight.now,
        area=max(before.area, _measure_area(sight.instance)),
        stays=stays,
        clear_points=clear_points,
    )
    return _report_object(scene, after, tuple(events), label=before.instance.label, image=sight.image)


def _report_object(
    scene: Scene, watched: Watched, events: tuple[Event, ...], *, label: str, image: Size
) -> tuple[Watched, tuple[Event, ...]]:
    """The object and its events, led by "new" or "updated" where that is due; `label` is the one before."""
    now, due = watched.last_s, scene.update_s or math.inf
    limits = scene.limits_of(watched.instance.label)
    if not watched.reported:
        if watched.area < limits.area_in_pixels(image) or now - watched.first_s < limits.min_s:
            return replace(watched, held=events), ()
        return (
            replace(watched, reported=True, updated_s=now, held=()),
            (describe_event(watched.instance, "new", now=now), *events),
        )
    if label != watched.instance.label or now - watched.updated_s >= due:
        return replace(watched, updated_s=now), (
            describe_event(watched.instance, "updated", now=now),
            *events,
        )
    return watched, events


def _end_object(watched: Watched) -> list[Event]:
    """An object leaves its zones and is gone, at the time when it was last seen."""
    if not watched.reported:
        return []
    instance, now = watched.instance, watched.last_s
    left = [
        event
        for name, stay in watched.stays.items()
        for event in leave_zone(name, stay, instance=instance, now=now)
    ]
    return [*left, replace(describe_event(instance, "gone", now=now), seconds=now - watched.first_s)]


def _measure_area(instance: Instance) -> float:
    """Pixels of the mask, or of the box where there is no mask."""
    return instance.bbox[2] * instance.bbox[3] if instance.area is None else instance.area


@lru_cache(64)  # the same for every frame of a stream
def _place_zones(scene: Scene, image: Size) -> tuple[tuple[Zone, tuple[Point, ...]], ...]:
    return tuple((zone, points_in_pixels(zone.corners, zone.unit, image)) for zone in scene.zones)


@lru_cache(64)
def _place_lines(scene: Scene, image: Size) -> tuple[tuple[Line, tuple[Point, Point]], ...]:
    placed = ((line, points_in_pixels((line.start, line.end), line.unit, image)) for line in scene.lines)
    return tuple((line, (start, end)) for line, (start, end) in placed)


@lru_cache(64)
def _place_areas(scene: Scene, image: Size) -> tuple[tuple[Point, ...], ...]:
    return tuple(points_in_pixels(area.corners, area.unit, image) for area in scene.ignored)
