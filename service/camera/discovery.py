"""The topics of a camera, and its description for Home Assistant's MQTT discovery.

One retained message to `homeassistant/device/<id>/config` describes the device and its sensors (Home
Assistant 2024.11 and later). All sensors read the one JSON object of the state topic.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from service.events.scene import Line, Scene, Zone
from service.inference.documents import Json

PREFIX = "homeassistant"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one camera; `base` is the topic above those of all cameras, if one is asked for."""

    camera: str
    base: str | None = None

    @property
    def root(self) -> str:
        """The topic above those of this camera.

        >>> Topics("drive", "home").root, Topics("drive").root
        ('home/drive', 'blitzmask/drive')
        """
        return f"{self.base or 'blitzmask'}/{choose_id(self.camera)}"

    @property
    def device(self) -> str:
        """The device's identifier; cameras of one name under two topics are two devices."""
        steps = self.base.split("/") if self.base else []
        return "_".join(("blitzmask", *map(choose_id, (*steps, self.camera))))

    @property
    def discovery(self) -> str:
        """Holds the description for Home Assistant, retained."""
        return f"{PREFIX}/device/{self.device}/config"

    @property
    def availability(self) -> str:
        """Holds "online" while answers come and "offline" otherwise, retained.

        The broker itself publishes "offline" when the client is gone.
        """
        return f"{self.root}/availability"

    @property
    def state(self) -> str:
        """Holds the present objects, retained. It is published at every change, otherwise once a second."""
        return f"{self.root}/state"

    @property
    def results(self) -> str:
        """Receives every answer, in the same JSON as the output jsonl."""
        return f"{self.root}/results"

    @property
    def events(self) -> str:
        """Receives every event, in the same JSON as the output events."""
        return f"{self.root}/events"

    @property
    def snapshot(self) -> str:
        """Holds the best picture of the object that was gone last, a JPEG, retained."""
        return f"{self.root}/snapshot"


def choose_id(name: str) -> str:
    """The name with only the characters that topics and identifiers may have.

    Letters, digits, spaces, hyphens and underscores make a readable id. A name with other characters gets a
    checksum, so that names which differ only in these characters get different ids.

    >>> choose_id("Front Door"), choose_id("nvr/cam?1"), choose_id("nvr/cam?2")
    ('front_door', 'nvr_cam_1_819d4fe0', 'nvr_cam_2_18941e5a')
    """
    plain = re.sub(r"[^a-z0-9-]+", "_", name.lower()).strip("_")
    if not re.fullmatch(r"[A-Za-z0-9 _-]+", name) or not plain:
        plain = f"{plain}_{crc32(name.encode()):08x}".lstrip("_")
    return plain


def describe_device(topics: Topics, *, labels: Sequence[str], scene: Scene) -> Json:
    """A device with a sensor for all objects, one for each of `labels`, and three about the stream.

    Each zone has a binary sensor and two counters, present and entered, for all objects and for each class:
    those of the zone, otherwise `labels`. Each line has counters of its crossings in the same way.
    """
    sensors: dict[str, Json] = {"objects": _sensor("Objects", "{{ value_json.objects }}")}
    for label in labels:
        template = f"{{{{ value_json.counts.get({label!r}, 0) }}}}"
        sensors[f"count_{choose_id(label)}"] = _sensor(label.capitalize(), template)
    for zone in scene.zones:
        sensors |= _describe_zone(zone, labels)
    for line in scene.lines:
        sensors |= _describe_line(line, labels)
    if scene.zones or scene.lines:
        image: Json = {"platform": "image", "name": "Snapshot", "image_topic": topics.snapshot}
        sensors["snapshot"] = image | {"content_type": "image/jpeg"}
    sensors |= {
        "fps": _diagnostic("Answers per second", "{{ value_json.fps }}", unit="fps"),
        "age": _diagnostic("Age", "{{ value_json.age_ms }}", unit="ms"),
        "dropped": _diagnostic("Dropped frames", "{{ value_json.dropped }}", unit=None),
    }
    return {
        "device": {"identifiers": [topics.device], "name": f"BlitzMask {topics.camera}"},
        "origin": {"name": "BlitzMask Server"},
        "availability_topic": topics.availability,
        "state_topic": topics.state,
        "components": {
            key: sensor | {"unique_id": f"{topics.device}_{key}"} for key, sensor in sensors.items()
        },
    }


def _describe_zone(zone: Zone, labels: Sequence[str]) -> dict[str, Json]:
    sensors: dict[str, Json] = {}
    for key, title, label in _list_classes("zone", zone.name, zone.classes or labels):
        present = _count("zones", zone.name, "present", label)
        sensors[f"{key}_occupied"] = {
            "platform": "binary_sensor",
            "name": f"{title} occupied",
            "device_class": "occupancy",
            "value_template": f"{{{{ 'ON' if {present} > 0 else 'OFF' }}}}",
        }
        sensors[f"{key}_present"] = _sensor(f"{title} present", f"{{{{ {present} }}}}")
        entered = _count("zones", zone.name, "entered", label)
        sensors[f"{key}_entered"] = _total(f"{title} entered", f"{{{{ {entered} }}}}")
    return sensors


def _describe_line(line: Line, labels: Sequence[str]) -> dict[str, Json]:
    ways = ("in", "out") if line.direction is None else (line.direction,)
    return {
        f"{key}_{way}": _total(f"{title} {way}", f"{{{{ {_count('lines', line.name, way, label)} }}}}")
        for key, title, label in _list_classes("line", line.name, line.classes or labels)
        for way in ways
    }


def _list_classes(kind: str, place: str, labels: Sequence[str]) -> list[tuple[str, str, str | None]]:
    """The key, the title and the label of all objects of a place (None), and of each class."""
    key = f"{kind}_{choose_id(place)}"
    classes = [(f"{key}_{choose_id(label)}", f"{place} {label}", label) for label in labels]
    return [(key, place, None), *classes]


def _count(places: str, name: str, count: str, label: str | None) -> str:
    """The expression of a template for the count of a class, or of all classes together."""
    counts = f"value_json.{places}[{name!r}][{count!r}]"
    return f"({counts}.values() | sum)" if label is None else f"{counts}.get({label!r}, 0)"


def _total(name: str, template: str) -> Json:
    return _sensor(name, template) | {"state_class": "total_increasing"}


def _sensor(name: str, template: str) -> Json:
    return {
        "platform": "sensor",
        "name": name,
        "value_template": template,
        "state_class": "measurement",
    }


def _diagnostic(name: str, template: str, *, unit: str | None) -> Json:
    measured: Json = {} if unit is None else {"unit_of_measurement": unit}
    return _sensor(name, template) | measured | {"entity_category": "diagnostic"}
