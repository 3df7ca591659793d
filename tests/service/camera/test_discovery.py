import re

from service.camera.discovery import Topics, choose_id, describe_device, discovery_topic

TOPICS = Topics("home/door")


def test_every_sensor_reads_the_one_state_and_has_an_identity_of_its_own() -> None:
    device = describe_device("Front Door", TOPICS, labels=("person", "traffic light"))
    assert device["state_topic"] == "home/door/state"
    assert device["availability_topic"] == "home/door/availability"
    assert device["device"] == {"identifiers": ["blitzmask_front_door"], "name": "BlitzMask Front Door"}
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
    components = describe_device("door", TOPICS, labels=("rubik's cube",))["components"]
    assert isinstance(components, dict)
    template = components["count_rubik_s_cube"]["value_template"]
    assert template == """{{ value_json.counts.get("rubik's cube", 0) }}"""


def test_topics_have_no_signs_of_the_protocols() -> None:
    assert choose_id("192.168.1.7:8554/#+ Door") == "192_168_1_7_8554_door"
    assert choose_id("#") == "camera"
    assert choose_id("Tür") != choose_id("Tor") != choose_id("Tår")
    assert re.fullmatch("[a-z0-9_]+", choose_id("前門"))
    assert choose_id("前門") != choose_id("後門")
    assert discovery_topic("door") == "homeassistant/device/blitzmask_door/config"
