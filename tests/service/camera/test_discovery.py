import re

from service.camera.discovery import Topics, choose_id, describe_device

TOPICS = Topics("Front Door", "home")


def test_every_sensor_reads_the_one_state_and_has_an_identity_of_its_own() -> None:
    device = describe_device(TOPICS, labels=("person", "traffic light"))
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
    components = describe_device(TOPICS, labels=("rubik's cube",))["components"]
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
