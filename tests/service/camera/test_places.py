"""Zones, lines and limits as they are typed."""

from pathlib import Path

import pytest

from service.camera.places import SceneArguments, parse_line, parse_scene, parse_zone, read_secret
from service.errors import InvalidOption
from service.events.scene import Area, Limits, Line, Scene, Zone

HALF = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
TRIANGLE = "0%,0% 100%,0% 50%,12.5%"


def test_percentages_are_shares_and_plain_numbers_are_pixels() -> None:
    assert parse_zone("yard=50%,0% 100%,0% 100%,100% 50%,100%") == Zone("yard", HALF)
    assert parse_zone("yard=1,2 3,4 5,2.5") == Zone("yard", ((1, 2), (3, 4), (5, 2.5)), "pixels")


def test_classes_and_seconds_stand_after_the_name_of_a_zone() -> None:
    zone = parse_zone("front yard:person,traffic light:1.5s=" + TRIANGLE)
    assert (zone.name, zone.classes, zone.min_s) == ("front yard", ("person", "traffic light"), 1.5)


def test_classes_and_a_direction_stand_after_the_name_of_a_line() -> None:
    assert parse_line("gate:in:person=0%,50% 100%,50%") == Line(
        "gate", (0, 0.5), (1, 0.5), direction="in", classes=("person",)
    )


def test_a_class_without_a_limit_of_its_own_has_that_of_all() -> None:
    arguments = SceneArguments(min_areas=["1%", "car=400"], min_times=["person=2"])
    assert arguments.given
    assert parse_scene(arguments) == Scene(
        limits=(Limits(None, 0.01), Limits("car", 400, "pixels"), Limits("person", 0.01, min_s=2))
    )


def test_all_options_make_one_scene() -> None:
    arguments = SceneArguments(
        ["yard=" + TRIANGLE], ["gate=1,2 3,4"], [TRIANGLE], anchor="centre", update_s=5
    )
    scene = parse_scene(arguments)
    corners = ((0.0, 0.0), (1.0, 0.0), (0.5, 0.125))
    assert scene.zones == (Zone("yard", corners),)
    assert scene.lines == (Line("gate", (1, 2), (3, 4), "pixels"),)
    assert scene.ignored == (Area(corners),)
    assert (scene.anchor, scene.update_s) == ("centre", 5)


def test_without_options_no_scene_is_asked_for() -> None:
    assert not SceneArguments().given


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (SceneArguments(["yard"]), "--zone yard: expected NAME=POINTS"),
        (SceneArguments(["=1,2 3,4"]), "expected NAME=POINTS"),
        (SceneArguments(["yard=1,2 3%,4%"]), "--zone yard: expected points"),
        (SceneArguments(["yard=1;2"]), "--zone yard: expected points"),
        (SceneArguments(["yard="]), "--zone yard: expected points"),
        (SceneArguments(["yard:,=" + TRIANGLE]), "no class between the colons"),
        (SceneArguments(["yard=0%,0% 120%,0% 0%,5%"]), "zone yard has a coordinate outside"),
        (SceneArguments((), ["gate=1,2 3,4 5,6"]), "--line gate: expected two points"),
        (SceneArguments(min_areas=["person=big"]), "--min-area person=big: expected"),
        (SceneArguments(min_times=["person=1%"]), "--min-time: expected seconds"),
    ],
)
def test_a_mistake_is_refused_with_the_option_that_has_it(arguments: SceneArguments, reason: str) -> None:
    with pytest.raises(InvalidOption, match=reason):
        parse_scene(arguments)


def test_a_secret_is_given_or_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("of the file\n")
    assert read_secret("typed") == "typed"
    assert read_secret(None) is None
    assert read_secret(f"@{file}") == "of the file"
    for bad in (f"@{tmp_path}/missing", f"@{tmp_path}"):
        with pytest.raises(InvalidOption, match="--webhook-secret"):
            read_secret(bad)
    file.write_text("\n")
    with pytest.raises(InvalidOption, match="is empty"):
        read_secret(f"@{file}")
