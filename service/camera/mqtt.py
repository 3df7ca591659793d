"""Answers to an MQTT broker, with paho-mqtt, which the extra `mqtt` installs."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from service.camera.answered import Answered
from service.camera.discovery import Topics, choose_id, describe_device, discovery_topic
from service.camera.jsonlines import Title, answered_to_json
from service.client.credentials import Credentials
from service.errors import InvalidOption
from service.inference.documents import Json
from service.types import Segmentation

if TYPE_CHECKING:
    from paho.mqtt.client import Client

PATIENCE_S = 10.0
STATE_S = 1.0
PORTS = {"mqtt": 1883, "mqtts": 8883}
SCHEMES = tuple(PORTS)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is, and who we are to it.

    ca: PEM file of the authorities to trust with TLS; None: the system's.
    base: the topic under which everything goes.
    """

    host: str
    port: int
    tls: bool
    ca: Path | None
    user: str | None
    password: str | None
    base: str | None


def parse_broker(url: str) -> Broker:
    """A broker by "mqtt[s]://[user:password@]host[:port][/topic][?ca=FILE]"; raises InvalidOption.

    >>> parse_broker("mqtt://me:p%40ss@hub/home/door").base
    'home/door'
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise InvalidOption(f"--out {parts.scheme}://...: {error}") from error
    asked, secure = dict(parse_qsl(parts.query)), parts.scheme == "mqtts"
    ca = asked.pop("ca", None)
    if not parts.hostname or any(sign in parts.path for sign in "+#") or asked or (ca and not secure):
        raise InvalidOption(
            f"--out {parts.scheme}://: expected {parts.scheme}://[user:password@]host[:port][/topic]"
            + "[?ca=FILE]" * secure
        )
    return Broker(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        tls=secure,
        ca=Path(ca) if ca else None,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        base=parts.path.strip("/") or None,
    )


class MqttOutput:
    """Publishes every answer, and what is seen now; a broker that is lost is connected again by itself.

    labels: of the classes that get a sensor of their own.
    """

    def __init__(self, broker: Broker, camera: str, *, labels: Sequence[str], title: Title) -> None:
        """Raises InvalidOption where the broker does not answer or refuses us, or paho-mqtt is missing."""
        self._topics = Topics(broker.base or f"blitzmask/{choose_id(camera)}")
        self._camera = camera
        self._labels = labels
        self._title = title
        self._state: Json = {}
        self._published = 0.0
        self._answer = threading.Event()
        self._refusal: str | None = None
        self._client = self._connect(broker)

    def write(self, answered: Answered, *, fps: float) -> None:
        self._client.publish(self._topics.results, orjson.dumps(answered_to_json(answered, self._title)))
        found = answered.result.outcome
        if not isinstance(found, Segmentation):
            return
        counts = Counter(one.label for one in found.instances)
        seen: Json = {"objects": len(found.instances), "counts": dict(counts)}
        changed = any(self._state.get(key) != value for key, value in seen.items())
        if changed or time.monotonic() - self._published >= STATE_S:
            result = answered.result
            figures = {"fps": round(fps, 1), "age_ms": round(result.age_ms), "dropped": result.dropped}
            self._state = seen | figures
            self._publish_state()

    def close(self) -> None:
        """Say that the camera is gone, and leave."""
        farewell = self._client.publish(self._topics.availability, b"offline", qos=1, retain=True)
        with suppress(RuntimeError):  # the broker is away: nobody is there to be told
            farewell.wait_for_publish(PATIENCE_S)
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_connect = None  # or the two would hold each other, and paho's sockets open

    def _connect(self, broker: Broker) -> "Client":
        client = _create_client(broker)
        client.will_set(self._topics.availability, b"offline", qos=1, retain=True)
        client.on_connect = self._greet
        where = f"--out {'mqtts' if broker.tls else 'mqtt'}://{broker.host}:{broker.port}"
        try:
            client.connect(broker.host, broker.port)
        except OSError as error:
            raise InvalidOption(f"{where}: no broker answers: {error.strerror or error}") from error
        client.loop_start()
        if not self._answer.wait(PATIENCE_S) or self._refusal is not None:
            client.loop_stop()
            raise InvalidOption(f"{where}: {self._refusal or 'the broker does not answer'}")
        return client

    def _greet(self, client: "Client", userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        """Each time when connected: the broker may have forgotten everything."""
        if reason.is_failure:
            self._refusal = f"the broker refuses: {str(reason).lower()}"
        else:
            device = describe_device(self._camera, self._topics, labels=self._labels)
            client.publish(discovery_topic(choose_id(self._camera)), orjson.dumps(device), qos=1, retain=True)
            client.publish(self._topics.availability, b"online", qos=1, retain=True)
            if self._state:
                client.publish(self._topics.state, orjson.dumps(self._state), retain=True)
        self._answer.set()

    def _publish_state(self) -> None:
        self._client.publish(self._topics.state, orjson.dumps(self._state), retain=True)
        self._published = time.monotonic()


def _create_client(broker: Broker) -> "Client":
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError as error:
        raise InvalidOption("--out mqtt://... needs paho-mqtt: pip install paho-mqtt") from error
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(broker.user, broker.password)
    client.reconnect_delay_set(1, 30)
    if broker.tls:
        client.tls_set_context(Credentials(ca=broker.ca).open_context())
    return client
