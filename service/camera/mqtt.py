"""The output to an MQTT broker by paho-mqtt, which the extra `mqtt` installs."""

import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import orjson

from service.camera.address import split_address
from service.camera.discovery import Topics, describe_device
from service.camera.output import AnsweredFrame, Notice, Title, answered_to_json
from service.client.credentials import Credentials
from service.errors import InvalidOption, Unavailable
from service.events.report import counts_to_json, event_to_json
from service.events.scene import Scene
from service.events.watch import Watch, end_watch
from service.inference.documents import Json
from service.types import Segmentation

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

PATIENCE_S = 10.0
STATE_S = 1.0
QUEUE = 1000  # events that wait for a broker that is not there
PORTS = {"mqtt": 1883, "mqtts": 8883}
SCHEMES = tuple(PORTS)
NOTHING: Json = {"objects": 0, "counts": {}, "fps": 0.0}


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker's address, with user and password.

    ca: PEM file of the authorities to trust with TLS; None: the system's.
    base: the topic above those of all cameras; None: "blitzmask".
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

    >>> parse_broker("mqtt://me:p%40ss@hub/home").base
    'home'
    """
    try:
        parts = split_address(url)
    except InvalidOption as error:
        raise InvalidOption(f"--out {error}") from error
    asked, secure = dict(parse_qsl(parts.query)), parts.scheme == "mqtts"
    ca = asked.pop("ca", None)
    if not parts.hostname or any(sign in parts.path for sign in "+#") or asked or (ca and not secure):
        raise InvalidOption(
            f"--out {parts.scheme}://...: expected {parts.scheme}://[user:password@]host[:port][/topic]"
            + "[?ca=FILE]" * secure
        )
    return Broker(
        host=parts.hostname,
        port=parts.port or PORTS[parts.scheme],
        tls=secure,
        ca=Path(ca) if ca else None,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        base=parts.path.strip("/") or None,
    )


class MqttOutput:
    """Publishes every answer, the present objects and the events. It reconnects by itself.

    The camera is "online" from its first answer until `pause` or `close`.
    labels: the classes that get a sensor of their own.
    scene: the zones and lines that get sensors; None: there are none.
    """

    def __init__(
        self, broker: Broker, camera: str, *, labels: Sequence[str], title: Title, scene: Scene | None
    ) -> None:
        """Raises Unavailable where no broker answers, and InvalidOption where it refuses the client."""
        self._topics = Topics(camera, broker.base)
        self._labels = labels
        self._title = title
        self._scene = scene or Scene()
        empty = counts_to_json(end_watch(Watch(self._scene))[1]) if scene else {}
        self._state: Json = {**NOTHING, "age_ms": 0, "dropped": 0, **empty}
        self._online = False
        self._published = 0.0
        self._answer = threading.Event()
        self._refusal: str | None = None
        self._client = self._connect(broker)

    def tell(self, notice: Notice) -> None:
        for event in notice.report.events:
            self._client.publish(self._topics.events, orjson.dumps(event_to_json(event)), qos=1)
        for snapshot in notice.snapshots.values():
            self._client.publish(self._topics.snapshot, snapshot.drawn, retain=True)
        self._state |= counts_to_json(notice.report)
        if notice.report.events:
            self._publish_state()

    def write(self, answered: AnsweredFrame, *, fps: float) -> None:
        self._client.publish(self._topics.results, orjson.dumps(answered_to_json(answered, self._title)))
        result = answered.result
        if isinstance(result.outcome, Segmentation):
            counts = Counter(one.label for one in result.outcome.instances)
            self._update(
                {"objects": len(result.outcome.instances), "counts": dict(counts)},
                {"fps": round(fps, 1), "age_ms": round(result.age_ms), "dropped": result.dropped},
            )
        if not self._online:
            self._publish_availability(online=True)

    def pause(self) -> None:
        """Say that the camera is offline and sees nothing."""
        self._leave()

    def close(self) -> None:
        """Say that the camera is offline and sees nothing, and disconnect."""
        farewell = self._leave()
        with suppress(RuntimeError, ValueError):  # not connected: no message can be sent
            farewell.wait_for_publish(PATIENCE_S)
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_connect = None  # breaks a reference cycle that would keep paho's sockets open

    def _update(self, seen: Json, figures: Json) -> None:
        """Publish the state if the objects have changed, otherwise once a second."""
        changed = any(self._state.get(key) != value for key, value in seen.items())
        if changed or time.monotonic() - self._published >= STATE_S:
            self._state |= seen | figures
            self._publish_state()

    def _connect(self, broker: Broker) -> "Client":
        client = _create_client(broker)
        client.will_set(self._topics.availability, b"offline", qos=1, retain=True)
        client.on_connect = self._greet
        where = f"--out {'mqtts' if broker.tls else 'mqtt'}://{broker.host}:{broker.port}"
        try:
            client.connect(broker.host, broker.port)
        except ssl.SSLError as error:
            raise InvalidOption(f"{where}: TLS fails: {error.strerror or error}") from error
        except OSError as error:
            raise Unavailable(f"{where}: no broker answers: {error.strerror or error}") from error
        client.loop_start()
        answered = self._answer.wait(PATIENCE_S)
        if self._refusal is not None or not answered:
            client.disconnect()
            client.loop_stop()
        if self._refusal is not None:
            raise InvalidOption(f"{where}: {self._refusal}")
        if not answered:
            raise Unavailable(f"{where}: the broker does not answer")
        return client

    def _greet(self, client: "Client", userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        """Publish everything at each connection, because the broker may have forgotten it."""
        if reason.is_failure:
            self._refusal = f"the broker refuses: {str(reason).lower()}"
        else:
            device = describe_device(self._topics, labels=self._labels, scene=self._scene)
            client.publish(self._topics.discovery, orjson.dumps(device), qos=1, retain=True)
            availability = b"online" if self._online else b"offline"
            client.publish(self._topics.availability, availability, qos=1, retain=True)
            client.publish(self._topics.state, orjson.dumps(self._state), retain=True)
        self._answer.set()

    def _leave(self) -> "MQTTMessageInfo":
        self._state |= NOTHING
        self._publish_state()
        return self._publish_availability(online=False)

    def _publish_availability(self, *, online: bool) -> "MQTTMessageInfo":
        self._online = online
        return self._client.publish(
            self._topics.availability, b"online" if online else b"offline", qos=1, retain=True
        )

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
    client.max_queued_messages_set(QUEUE)
    if broker.tls:
        client.tls_set_context(Credentials(ca=broker.ca).open_context())
    return client
