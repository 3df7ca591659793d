"""What a home automation needs to know of a camera, as Home Assistant's discovery has it.

One retained message to `homeassistant/device/<id>/config` describes the device and its sensors (Home
Assistant 2024.11 and later); all of them read the one JSON object of the state topic.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from service.inference.documents import Json

PREFIX = "homeassistant"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one camera under their base."""

    base: str

    @property
    def availability(self) -> str:
        """ "online" or "offline", retained; the broker itself tells when the client is gone."""
        return f"{self.base}/availability"

    @property
    def state(self) -> str:
        """What is seen now, retained: at once when it changes, else once a second."""
        return f"{self.base}/state"

    @property
    def results(self) -> str:
        """Every answer, as in JSON lines."""
        return f"{self.base}/results"


def choose_id(name: str) -> str:
    """A name as it may stand in topics and identifiers; one in other letters is told apart by its sum.

    >>> choose_id("192.168.1.7/Front Door"), choose_id("Tür")
    ('192_168_1_7_front_door', 't_r_00b99e54')
    """
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
    if not name.isascii():
        plain += f"_{crc32(name.encode()):08x}"
    return plain.strip("_") or "camera"


def discovery_topic(device: str) -> str:
    """Where the description goes, retained."""
    return f"{PREFIX}/device/blitzmask_{device}/config"


def describe_device(name: str, topics: Topics, *, labels: Sequence[str]) -> Json:
    """A camera with a sensor for all objects, one for each of `labels`, and three about itself."""
    device = choose_id(name)
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
        "device": {"identifiers": [f"blitzmask_{device}"], "name": f"BlitzMask {name}"},
        "origin": {"name": "BlitzMask Server"},
        "availability_topic": topics.availability,
        "state_topic": topics.state,
        "components": {
            key: sensor | {"unique_id": f"blitzmask_{device}_{key}"} for key, sensor in sensors.items()
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
