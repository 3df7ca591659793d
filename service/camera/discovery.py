"""The topics of a camera, and its description for Home Assistant's MQTT discovery.

One retained message to `homeassistant/device/<id>/config` describes the device and its sensors (Home
Assistant 2024.11 and later). All sensors read the one JSON object of the state topic.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

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


def describe_device(topics: Topics, *, labels: Sequence[str]) -> Json:
    """A device with a sensor for all objects, one for each of `labels`, and three about the stream."""
    sensors = {
        "objects": _sensor("Objects", "{{ value_json.objects }}"),
        **{
            f"count_{choose_id(label)}": _sensor(
                label.capitalize(), f"{{{{ value_json.counts.get({label!r}, 0) }}}}"
            )
            for label in labels
        },
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
