"""The page about events is read by the code that it describes."""

import json
import re
import shlex
from pathlib import Path

from service.camera.places import parse_line, parse_zone
from service.camera.webhook import Delivery, Hook, sign_headers
from service.events.report import Event, event_to_json
from service.events.scene import Zone
from service.rest.parameters import LiveOptions
from service.rest.scene import scene_from_json

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "events.md").read_text()
BLOCKS = [(kind, text) for kind, text in re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)]


def find_block(kind: str, word: str) -> str:
    (text,) = (text for language, text in BLOCKS if language == kind and word in text)
    return str(text)


def test_the_first_command_names_a_zone_that_can_be_watched() -> None:
    words = shlex.split(find_block("sh", "--zone"))
    zone = parse_zone(words[words.index("--zone") + 1])
    assert zone == Zone("yard", ((0.5, 0.4), (1.0, 0.4), (1.0, 1.0), (0.5, 1.0)))


def test_the_event_that_it_shows_has_the_fields_of_an_event() -> None:
    shown = json.loads(find_block("json", '"event"'))
    event = Event("entered", 1.5, 7, "person", 0.83, (1, 2, 3, 4), "yard")
    assert list(shown) == ["camera", *event_to_json(event)]


def test_the_options_of_a_live_stream_are_valid() -> None:
    asked = LiveOptions.model_validate_json(find_block("json", '"scene"'))
    assert asked.scene is not None
    scene = scene_from_json(asked.scene)
    assert [place.name for place in scene.zones] == ["yard"]
    assert parse_line("gate=10%,90% 90%,90%") == scene.lines[0]


def test_the_receiver_that_it_shows_accepts_what_the_camera_signs() -> None:
    names: dict[str, object] = {}
    exec(find_block("python", "is_genuine"), names)
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    delivery = Delivery(b'{"event": "new"}')
    headers = sign_headers(Hook("https://host/hook", "secret"), delivery)
    assert is_genuine(delivery.body, headers, "secret")
    assert not is_genuine(delivery.body + b" ", headers, "secret")
    assert not is_genuine(delivery.body, headers, "another")


def test_the_example_of_a_stream_makes_its_options() -> None:
    names: dict[str, object] = {}
    exec(find_block("python", "RpcClient").replace("blitzmask_client", "service.client"), names)
    assert names["yard"] == Zone("yard", ((0.5, 0.4), (1, 0.4), (1, 1), (0.5, 1)), classes=("person",))
