import re

from jinja2 import Environment

from service.camera.discovery import Topics, choose_id, describe_device
from service.events.report import LineCount, Report, ZoneCount, counts_to_json
from service.events.scene import Line, Scene, Zone

KINDS = ("occupied", "present", "entered")
TOPICS = Topics("Front Door", "home")


def test_every_sensor_reads_the_one_state_and_has_an_identity_of_its_own() -> None:
    device = describe_device(TOPICS, labels=("person", "traffic light"), scene=Scene())
    assert device["state_topic"] == "home/front_door/state"
    assert device["availability_topic"] == "home/front_door/availability"
    assert device["device"] == {"identifiers": ["blitzmask_home_front_door"], "name": "BlitzMask Front Door"}
    components = device["components"]
    assert isinstance(components, dict)
    assert list(components) == [
        "objects",
        "count_person",
        "count_traffic_light",
        "fps",
        "age",
        "dropped",
    ]
    assert {sensor["platform"] for sensor in components.values()} == {"sensor"}
    assert len({sensor["unique_id"] for sensor in components.values()}) == len(components)
    light = components["count_traffic_light"]
    assert light["value_template"] == "{{ value_json.counts.get('traffic light', 0) }}"


def test_a_label_with_an_apostrophe_stays_a_template() -> None:
    components = describe_device(TOPICS, labels=("rubik's cube",), scene=Scene())["components"]
    assert isinstance(components, dict)
    template = components["count_" + choose_id("rubik's cube")]["value_template"]
    assert template == """{{ value_json.counts.get("rubik's cube", 0) }}"""


def test_ids_have_no_characters_that_mqtt_reserves() -> None:
    for name in ("192.168.1.7:8554/#+ Door", "#", "", "Tür", "前門", "a b/c"):
        assert re.fullmatch("[a-z0-9_-]+", choose_id(name))
    assert choose_id("Front Door") == "front_door"


def test_names_that_differ_in_other_characters_have_different_ids() -> None:
    names = (
        "nvr/cam?1",
        "nvr/cam?2",
        "nvr/cam/1",
        "nvr/cam.1",
        "nvr/Cam/1",
        "Tür",
        "Tor",
        "Tår",
        "前門",
        "後門",
    )
    assert len(set(map(choose_id, names))) == len(names)


def test_cameras_under_one_topic_have_topics_of_their_own() -> None:
    drive, door = Topics("drive", "home"), Topics("door", "home")
    assert drive.state == "home/drive/state"
    assert door.availability == "home/door/availability"
    assert drive.discovery == "homeassistant/device/blitzmask_home_drive/config"
    assert Topics("drive").results == "blitzmask/drive/results"


def test_cameras_of_one_name_under_two_topics_are_two_devices() -> None:
    assert len({Topics("drive", base).device for base in (None, "home", "work", "home/work")}) == 4


def test_every_class_of_a_zone_has_a_binary_sensor_and_counters() -> None:
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    gate = Line("gate", (0.0, 0.5), (1.0, 0.5), direction="in", classes=("car",))
    scene = Scene((Zone("Front Yard", corners),), (gate,))
    device = describe_device(TOPICS, labels=("person",), scene=scene)
    components = device["components"]
    assert isinstance(components, dict)
    zone = [f"zone_front_yard{label}_{kind}" for label in ("", "_person") for kind in KINDS]
    assert set(components) > {*zone, "line_gate_in", "line_gate_car_in", "snapshot"}
    assert "line_gate_out" not in components
    occupied = components["zone_front_yard_person_occupied"]
    assert (occupied["platform"], occupied["device_class"]) == ("binary_sensor", "occupancy")
    assert components["snapshot"]["image_topic"] == "home/front_door/snapshot"
    assert len({sensor["unique_id"] for sensor in components.values()}) == len(components)


def test_templates_of_zones_read_the_state_that_is_published() -> None:
    scene = Scene((Zone("it's", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))),), (Line("gate", (0, 0), (1, 1)),))
    components = describe_device(TOPICS, labels=("person",), scene=scene)["components"]
    assert isinstance(components, dict)
    report = Report(
        (), (ZoneCount("it's", {"car": 2}, {"car": 5, "person": 1}),), (LineCount("gate", {}, {"car": 3}),)
    )
    state = {"value_json": counts_to_json(report)}
    values = {
        key: Environment().from_string(sensor["value_template"]).render(state)
        for key, sensor in components.items()
        if key.startswith(("zone", "line"))
    }
    zone = f"zone_{choose_id(scene.zones[0].name)}"
    assert [values[f"{zone}_{kind}"] for kind in KINDS] == ["ON", "2", "6"]
    assert [values[f"{zone}_person_{kind}"] for kind in KINDS] == ["OFF", "0", "1"]
    assert (values["line_gate_out"], values["line_gate_person_in"]) == ("3", "0")
