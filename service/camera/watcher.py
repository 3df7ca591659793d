"""Events of a camera's answers, and the best picture of each object that is gone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2

from service.camera.output import LIMITS, AnsweredFrame, Notice, Snapshot
from service.camera.stream_client import encode_frame
from service.events.report import Report
from service.events.scene import Scene
from service.events.watch import Watch, end_watch, watch_instances
from service.inference.images import decode_image
from service.inference.masks.overlay import draw_overlay
from service.types import Instance, Pixels, Segmentation

BETTER = 1.1  # times the quality of the picture that is kept: each better one costs the coding of a JPEG
RIM = 0.1  # of the object's size, around it in the crop


@dataclass(frozen=True, slots=True)
class Candidate:
    """The best frame of an object so far: its quality, the encoded frame, and its answer for this object."""

    quality: float
    picture: bytes
    found: Segmentation


class Watcher:
    """Watches the answers of one camera; its methods are called one at a time.

    memory_s: seconds out of sight after which an object is gone.
    snapshots: keep the best picture of each object; without this, notices have none.
    """

    def __init__(self, scene: Scene, *, memory_s: float, snapshots: bool) -> None:
        self.scene = scene
        self._watch = Watch(scene, memory_s)
        self._snapshots = snapshots
        self._candidates: dict[int, Candidate] = {}

    def see(self, answered: AnsweredFrame) -> tuple[AnsweredFrame, Notice | None]:
        """The answer with its report, and the notice for the outputs; None for a frame that failed."""
        found, captured_us = answered.result.outcome, answered.frame.captured_us
        if not isinstance(found, Segmentation):
            return answered, None
        time_s = (captured_us or 0) / 1e6
        self._watch, report = watch_instances(self._watch, found, time_s=time_s)
        if self._snapshots:
            self._keep_best(answered, found)
        reported = replace(answered, result=replace(answered.result, report=report))
        return reported, self._notify(report)

    def end(self) -> Notice:
        """The notice that all objects are gone: no answers come for now."""
        self._watch, report = end_watch(self._watch)
        return self._notify(report)

    def _notify(self, report: Report) -> Notice:
        gone = [event.track_id for event in report.events if event.kind == "gone"]
        kept = {track_id: self._candidates[track_id] for track_id in gone if track_id in self._candidates}
        snapshots = {track_id: _draw_snapshot(candidate) for track_id, candidate in kept.items()}
        self._candidates = {
            track_id: candidate
            for track_id, candidate in self._candidates.items()
            if track_id in self._watch.objects
        }
        return Notice(report, snapshots)

    def _keep_best(self, answered: AnsweredFrame, found: Segmentation) -> None:
        """Keep this frame for the objects that it shows better than all frames before."""
        better = {
            one.track_id: one
            for one in found.instances
            if one.track_id in self._watch.objects and _rate(one) > BETTER * self._quality(one.track_id)
        }
        if not better:
            return
        picture = encode_frame(answered.frame).picture
        assert isinstance(picture, bytes)  # the server has answered it
        self._candidates |= {
            track_id: Candidate(_rate(one), picture, replace(found, instances=(one,)))
            for track_id, one in better.items()
            if track_id is not None
        }

    def _quality(self, track_id: int | None) -> float:
        kept = None if track_id is None else self._candidates.get(track_id)
        return kept.quality if kept else 0.0


def sum_up(report: Report) -> Mapping[str, str]:
    """The totals of each zone and line in words, by its name.

    >>> from service.events.report import LineCount, ZoneCount
    >>> sum_up(Report((), (ZoneCount("yard", {}, {"person": 3}),), (LineCount("gate", {}, {"car": 1}),)))
    {'yard': 'entered: 3 person', 'gate': 'in: nothing, out: 1 car'}
    """
    zones = {zone.name: f"entered: {_list_counts(zone.entered)}" for zone in report.zones}
    lines = {
        line.name: f"in: {_list_counts(line.inward)}, out: {_list_counts(line.outward)}"
        for line in report.lines
    }
    return zones | lines


def _list_counts(counts: Mapping[str, int]) -> str:
    return " ".join(f"{count} {label}" for label, count in counts.items()) or "nothing"


def _rate(instance: Instance) -> float:
    """A large and certain object makes a good picture."""
    return instance.score * instance.bbox[2] * instance.bbox[3]


def _draw_snapshot(candidate: Candidate) -> Snapshot:
    pixels = decode_image(candidate.picture, LIMITS)
    (instance,) = candidate.found.instances
    return Snapshot(_encode(draw_overlay(pixels, candidate.found)), _encode(_crop(pixels, instance.bbox)))


def _crop(pixels: Pixels, bbox: tuple[float, float, float, float]) -> Pixels:
    x, y, width, height = bbox
    left, top = max(round(x - RIM * width), 0), max(round(y - RIM * height), 0)
    right, bottom = round(x + (1 + RIM) * width), round(y + (1 + RIM) * height)
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def _encode(pixels: Pixels) -> bytes:
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, 90))
    return encoded.tobytes()
