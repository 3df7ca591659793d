"""The MQTT output and a real mosquitto, which is in Debian's package of that name."""

import json
import queue
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.camera.mqtt import Broker, MqttOutput, parse_broker
from service.camera.output import AnsweredFrame
from service.camera.watcher import Watcher
from service.errors import InvalidImage, InvalidOption, Unavailable
from service.events.scene import Scene, Zone
from tests.certificates import Pair, make_authority
from tests.running import PATIENCE_S, free_port
from tests.service.camera.conftest import frame, result

mqtt = pytest.importorskip("paho.mqtt.client", reason="the extra mqtt is not installed")
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
with_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto: apt-get install mosquitto")


class Mosquitto:
    """A broker that knows one user, or lets everybody in."""

    def __init__(self, folder: Path, *, password: str | None = None, own: Pair | None = None) -> None:
        self.port = free_port()
        tls = "" if own is None else f"certfile {own.cert}\nkeyfile {own.key}\n"
        self._config = folder / "mosquitto.conf"
        allowed = "allow_anonymous true"
        if password is not None:
            users = folder / "users"
            users.write_text(f"me:{password}\n")
            users.chmod(0o600)
            subprocess.run(["mosquitto_passwd", "-U", users], check=True)
            allowed = f"allow_anonymous false\npassword_file {users}"
        self._config.write_text(f"listener {self.port} 127.0.0.1\n{tls}{allowed}\nuser root\n")
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        assert MOSQUITTO is not None
        command = [MOSQUITTO, "-c", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    retained: bool

    def json(self) -> Any:
        return json.loads(self.payload)


class Listener:
    """A client that receives every message from now on."""

    def __init__(self, port: int) -> None:
        self._messages: queue.Queue[Message] = queue.Queue()
        subscribed = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda client, data, message: self._messages.put(
            Message(message.topic, message.payload, message.retain)
        )
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(PATIENCE_S)

    def wait_for_any(self) -> Message:
        return self._messages.get(timeout=PATIENCE_S)

    def wait_for(self, topic: str, payload: bytes | None = None) -> Message:
        while True:
            message = self.wait_for_any()
            if message.topic == topic and payload in (None, message.payload):
                return message

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()


@pytest.fixture
def listener(mosquitto: Mosquitto) -> Iterator[Listener]:
    listener = Listener(mosquitto.port)
    yield listener
    listener.close()


def output_to(broker: Mosquitto) -> MqttOutput:
    return MqttOutput(
        parse_broker(broker.url), "Front Door", labels=("cat",), title=lambda number: None, scene=None
    )


def answered(number: int, *tracks: int) -> AnsweredFrame:
    return AnsweredFrame(frame(number), result(number, *tracks))


@with_mosquitto
def test_a_camera_presents_itself_says_what_it_sees_and_goodbye(
    mosquitto: Mosquitto, listener: Listener
) -> None:
    output = output_to(mosquitto)
    device = listener.wait_for("homeassistant/device/blitzmask_front_door/config").json()
    assert "count_cat" in device["components"]
    listener.wait_for(device["availability_topic"], b"offline")
    assert listener.wait_for(device["state_topic"]).json()["objects"] == 0
    output.write(answered(1, 4, 5), fps=12.34)
    assert listener.wait_for("blitzmask/front_door/results").json()["frame_id"] == 1
    assert listener.wait_for(device["state_topic"]).json() == {
        "objects": 2,
        "counts": {"cat": 2},
        "fps": 12.3,
        "age_ms": 5,
        "dropped": 0,
    }
    listener.wait_for(device["availability_topic"], b"online")
    output.close()
    listener.wait_for(device["availability_topic"], b"offline")


@with_mosquitto
def test_a_camera_that_is_lost_is_offline_and_sees_nothing_until_its_next_answer(
    mosquitto: Mosquitto, listener: Listener
) -> None:
    output = output_to(mosquitto)
    output.write(answered(1, 4, 5), fps=12.34)
    listener.wait_for("blitzmask/front_door/availability", b"online")
    output.pause()
    state = listener.wait_for("blitzmask/front_door/state").json()
    assert (state["objects"], state["counts"], state["fps"]) == (0, {}, 0)
    listener.wait_for("blitzmask/front_door/availability", b"offline")
    output.write(answered(2, 4, 5), fps=12.34)
    assert listener.wait_for("blitzmask/front_door/state").json()["objects"] == 2
    listener.wait_for("blitzmask/front_door/availability", b"online")
    output.close()


@with_mosquitto
@pytest.mark.parametrize(("pause", "told"), [(1e9, [0, 1, 0, 2, 0]), (0.0, [0, 1, 1, 1, 0, 0, 2, 0])])
def test_the_state_is_told_when_it_changes_and_else_after_a_pause(
    mosquitto: Mosquitto, listener: Listener, monkeypatch: pytest.MonkeyPatch, pause: float, told: list[int]
) -> None:
    monkeypatch.setattr("service.camera.mqtt.STATE_S", pause)
    output = output_to(mosquitto)
    for number, tracks in enumerate([(1,), (1,), (2,), (), (), (3, 4)]):
        output.write(answered(number, *tracks), fps=1.0)
    output.write(AnsweredFrame(frame(7), result(7, error=InvalidImage("it is corrupt"))), fps=1.0)
    output.close()
    states: list[int] = []
    listener.wait_for("blitzmask/front_door/availability", b"offline")
    while (message := listener.wait_for_any()).payload != b"offline":
        if message.topic == "blitzmask/front_door/state":
            states.append(message.json()["objects"])
        if message.topic == "blitzmask/front_door/results":
            last = message.json()
    assert states == told
    assert last["error"] == "it is corrupt"


@with_mosquitto
def test_who_comes_later_still_learns_of_the_camera(mosquitto: Mosquitto, listener: Listener) -> None:
    output = output_to(mosquitto)
    output.write(answered(1, 1), fps=1.0)
    listener.wait_for("blitzmask/front_door/state")
    listener.wait_for("blitzmask/front_door/availability", b"online")
    late = Listener(mosquitto.port)
    topics = ("homeassistant/device/blitzmask_front_door/config", "blitzmask/front_door/state")
    found = {message.topic: message.retained for message in (late.wait_for_any() for _ in range(3))}
    late.close()
    output.close()
    assert set(topics) <= set(found)
    assert all(found.values())


@with_mosquitto
def test_a_broker_that_restarts_is_told_everything_again(mosquitto: Mosquitto) -> None:
    output = output_to(mosquitto)
    output.write(answered(1, 1), fps=1.0)
    mosquitto.kill()
    output.write(answered(2, 1), fps=1.0)
    mosquitto.start()
    listener = Listener(mosquitto.port)
    listener.wait_for("blitzmask/front_door/availability", b"online")
    assert listener.wait_for("blitzmask/front_door/state").json()["objects"] == 1
    listener.close()
    output.close()


@with_mosquitto
def test_a_camera_can_end_while_its_broker_is_away(mosquitto: Mosquitto) -> None:
    before = set(threading.enumerate())
    output = output_to(mosquitto)
    mosquitto.kill()
    while output._client.is_connected():
        time.sleep(0.01)
    output.close()
    assert set(threading.enumerate()) <= before


@with_mosquitto
def test_a_user_with_a_password_is_let_in_and_others_are_told(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, password="p@ss")
    try:
        good = parse_broker(f"mqtt://me:p%40ss@127.0.0.1:{broker.port}/home/door")
        MqttOutput(good, "door", labels=(), title=lambda number: None, scene=None).close()
        for user in ("", "me:wrong@"):
            bad = parse_broker(f"mqtt://{user}127.0.0.1:{broker.port}")
            with pytest.raises(
                InvalidOption, match=r"127\.0\.0\.1:\d+: the broker refuses: not auth"
            ) as caught:
                MqttOutput(bad, "door", labels=(), title=lambda number: None, scene=None)
            assert "wrong" not in str(caught.value)
    finally:
        broker.kill()


@with_mosquitto
@pytest.mark.filterwarnings("ignore:.*<ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")  # paho's
def test_a_broker_with_a_certificate_of_ones_own_is_known_by_its_authority(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    broker = Mosquitto(tmp_path, own=authority.server)
    url = f"mqtts://127.0.0.1:{broker.port}"
    try:
        own = parse_broker(f"{url}?ca={authority.ca}")
        MqttOutput(own, "door", labels=(), title=lambda number: None, scene=None).close()
        for stranger in ("", f"?ca={authority.stranger.cert}"):
            with pytest.raises(InvalidOption, match=f"{url}: TLS fails: .*certificate verify failed"):
                MqttOutput(
                    parse_broker(url + stranger), "door", labels=(), title=lambda number: None, scene=None
                )
        with pytest.raises(InvalidOption, match=r"ca missing\.pem: no such file"):
            MqttOutput(
                parse_broker(f"{url}?ca=missing.pem"),
                "door",
                labels=(),
                title=lambda number: None,
                scene=None,
            )
    finally:
        broker.kill()


def test_where_no_broker_is_that_is_said() -> None:
    with pytest.raises(
        Unavailable, match=r"--out mqtt://127\.0\.0\.1:1: no broker answers: Connection refused"
    ):
        MqttOutput(
            parse_broker("mqtt://127.0.0.1:1"), "door", labels=(), title=lambda number: None, scene=None
        )


def test_a_broker_is_read_from_its_url() -> None:
    assert parse_broker("mqtt://hub") == Broker("hub", 1883, False, None, None, None, None)
    assert parse_broker("mqtts://me:p%40ss@hub:99/home/door/?ca=own.pem") == Broker(
        "hub", 99, True, Path("own.pem"), "me", "p@ss", "home/door"
    )


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://",
        "mqtt:///topic",
        "mqtt://me:secret@hub:x",
        "mqtt://me:secret@hub/a/+",
        "mqtt://me:secret/2@hub",
        "mqtt://me:secret?2@hub/home",
        "mqtt://me:secret#2@hub",
        "mqtt://me:secret@2@hub",
        "mqtt://me:secret%2@hub",
        "mqtt://me:secret[2@hub",
        "mqtt://me:secret 2@hub",
        "mqtt://me:secret@hub?ca=own.pem",
        "mqtts://me:secret@hub?cafile=own.pem",
    ],
)
def test_a_url_that_names_no_broker_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidOption, match=r"--out mqtts?://") as caught:
        parse_broker(url)
    assert "secret" not in str(caught.value)


@with_mosquitto
def test_events_snapshots_and_counts_of_zones_are_published(mosquitto: Mosquitto, listener: Listener) -> None:
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    watcher = Watcher(Scene((Zone("all", corners),)), memory_s=1.0, snapshots=True)
    output = MqttOutput(
        parse_broker(mosquitto.url), "door", labels=("cat",), title=lambda number: None, scene=watcher.scene
    )
    device = listener.wait_for("homeassistant/device/blitzmask_door/config").json()
    assert "zone_all_cat_occupied" in device["components"]
    first = listener.wait_for(device["state_topic"]).json()
    assert first["zones"] == {"all": {"present": {}, "entered": {}}}
    seen, notice = watcher.see(answered(1, 4))
    assert notice is not None
    output.tell(notice)
    output.write(seen, fps=1.0)
    events = [listener.wait_for("blitzmask/door/events").json()["event"] for _ in range(2)]
    assert events == ["new", "entered"]
    assert "events" in listener.wait_for("blitzmask/door/results").json()
    output.tell(watcher.end())
    assert listener.wait_for("blitzmask/door/snapshot").payload.startswith(b"\xff\xd8")
    assert listener.wait_for(device["state_topic"]).json()["zones"]["all"] == {
        "present": {},
        "entered": {"cat": 1},
    }
    output.close()
