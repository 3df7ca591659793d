"""Zones and lines that a visitor draws over the webcam, and the same as a command and as stream options."""

import json
import shlex
from collections.abc import Sequence

import pytest

from service.camera.places import parse_line, parse_zone
from service.events.geometry import measure_side
from service.rest.parameters import LiveOptions
from service.rest.scene import scene_from_json
from tests.e2e.chromium import Tab
from tests.e2e.visit import READY, SETTLED, click, text

# The person of the camera's picture is 141 pixels wide and stands, with the middle of the lower edge of its
# box, at 150, 286 of 640 x 480.
AROUND_ITS_FEET = ((0.1, 0.4), (0.4, 0.4), (0.4, 0.8), (0.1, 0.8))
BESIDE_IT = ((0.6, 0.4), (0.9, 0.4), (0.9, 0.8))
Points = Sequence[tuple[float, float]]


@pytest.fixture
def webcam(tab: Tab, address: str) -> Tab:
    """The page while Chromium's fake camera runs."""
    tab.open(address)
    tab.wait("!document.querySelector('#empty [data-action=camera]').hidden")
    click(tab, "#empty [data-action=camera]")
    tab.wait(READY)
    return tab


def draw(tab: Tab, kind: str, points: Points) -> None:
    """Draw a place with the mouse; a polygon ends where it began."""
    click(tab, f"#tools [data-kind={kind}]")
    box = tab.run("document.querySelector('#sketch').getBoundingClientRect().toJSON()")
    for x, y in points if kind == "line" else (*points, points[0]):
        tab.point(box["x"] + x * box["width"], box["y"] + y * box["height"], click=True)
    tab.run(SETTLED)


def counts(tab: Tab) -> list[str]:
    """The counts of the places, one after the other."""
    shown: list[str] = tab.run(
        "[...document.querySelectorAll('#places [data-part=count]')].map(({ innerText }) => innerText)"
    )
    return shown


def type_into(tab: Tab, name: str, value: str, row: int = 1) -> None:
    tab.page.fill(f"#places li:nth-child({row}) [name={name}]", value)
    tab.press("Tab")
    tab.run(SETTLED)


def value_of(tab: Tab, name: str, row: int = 1) -> str:
    return tab.page.input_value(f"#places li:nth-child({row}) [name={name}]")


def test_a_zone_that_is_drawn_counts_who_stands_in_it(webcam: Tab) -> None:
    draw(webcam, "zone", AROUND_ITS_FEET)
    draw(webcam, "zone", BESIDE_IT)
    webcam.wait("/1 now/.test(document.querySelector('#places').innerText)")
    assert counts(webcam) == ["1 now, 1 entered", "0 now, 0 entered"]
    events = text(webcam, "#events")
    assert "person #1 is new" in events
    assert "person #1 enters zone 1" in events
    assert "zone 2" not in events
    assert webcam.faults() == []


def test_objects_in_an_area_to_ignore_are_not_counted(webcam: Tab) -> None:
    draw(webcam, "zone", AROUND_ITS_FEET)
    webcam.wait("/1 now/.test(document.querySelector('#places').innerText)")
    draw(webcam, "ignored", AROUND_ITS_FEET)
    webcam.wait("/0 now, 0 entered/.test(document.querySelector('#places').innerText)")


def test_a_zone_of_one_class_counts_only_that_class(webcam: Tab) -> None:
    draw(webcam, "zone", AROUND_ITS_FEET)
    type_into(webcam, "classes", "cup, cat")
    webcam.wait("/0 now, 0 entered/.test(document.querySelector('#places').innerText)")
    type_into(webcam, "classes", "person")
    webcam.wait("/1 now/.test(document.querySelector('#places').innerText)")


def test_the_camera_command_and_the_options_of_a_stream_describe_what_is_drawn(webcam: Tab) -> None:
    draw(webcam, "zone", BESIDE_IT)
    draw(webcam, "line", ((0.25, 0.5), (0.75, 0.5)))
    type_into(webcam, "name", "yard")
    type_into(webcam, "classes", "person,cat")
    words = shlex.split(text(webcam, "#recipe-code").replace("\\\n", ""))
    assert words[:5] == ["blitzmask", "camera", "SOURCE", "--server", "grpc://127.0.0.1:8001"]
    zone = parse_zone(words[words.index("--zone") + 1])
    line = parse_line(words[words.index("--line") + 1])
    click(webcam, "#tab-options")
    asked = LiveOptions.model_validate(json.loads(text(webcam, "#recipe-code")))
    assert asked.scene is not None
    scene = scene_from_json(asked.scene)
    assert (scene.zones, scene.lines) == ((zone,), (line,))
    (limits,) = scene.limits
    assert (limits.label, limits.min_s) == (None, float(words[words.index("--min-time") + 1]))
    assert (zone.name, zone.classes, line.name) == ("yard", ("person", "cat"), "line 1")
    drawn = [value for point in BESIDE_IT for value in point]
    assert [value for point in zone.corners for value in point] == pytest.approx(drawn, abs=0.003)


@pytest.mark.parametrize(
    "ends", [((0.2, 0.5), (0.8, 0.5)), ((0.8, 0.5), (0.2, 0.5)), ((0.5, 0.2), (0.5, 0.8))]
)
def test_the_arrow_of_a_line_points_to_the_side_that_is_in(webcam: Tab, ends: Points) -> None:
    draw(webcam, "line", ends)
    webcam.point(5, 5)
    start, end = ends
    sides = [(x, y) for x in (0.48, 0.5, 0.52) for y in (0.48, 0.5, 0.52) if measure_side(start, end, (x, y))]
    painted = webcam.run(
        "{ const canvas = document.querySelector('#sketch'); const context = canvas.getContext('2d');"
        f" {json.dumps(sides)}.map(([x, y]) =>"
        " context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data[3]); }"
    )
    inward = [alpha for alpha, side in zip(painted, sides, strict=True) if measure_side(start, end, side) > 0]
    outward = [
        alpha for alpha, side in zip(painted, sides, strict=True) if measure_side(start, end, side) < 0
    ]
    assert any(inward)
    assert not any(outward)


def test_escape_drops_a_drawing_and_enter_keeps_it(webcam: Tab) -> None:
    for key, kept in (("Escape", 0), ("Enter", 1)):
        click(webcam, "#tools [data-kind=zone]")
        box = webcam.run("document.querySelector('#sketch').getBoundingClientRect().toJSON()")
        for x, y in BESIDE_IT:
            webcam.point(box["x"] + x * box["width"], box["y"] + y * box["height"], click=True)
        webcam.press(key)
        assert len(counts(webcam)) == kept
        assert webcam.run("document.querySelector('#tools [data-kind=zone]').ariaPressed") == "false"


def test_a_zone_without_an_area_is_not_kept(webcam: Tab) -> None:
    draw(webcam, "zone", ((0.2, 0.2), (0.5, 0.5), (0.8, 0.8)))
    webcam.press("Enter")
    assert counts(webcam) == []


def test_names_are_such_as_the_command_can_carry_and_no_two_are_the_same(webcam: Tab) -> None:
    draw(webcam, "zone", AROUND_ITS_FEET)
    draw(webcam, "zone", BESIDE_IT)
    for typed, shown in (("  gate: a=b ", "gate  a b"), ("zone 2", "gate  a b"), (" ", "gate  a b")):
        type_into(webcam, "name", typed)
        assert value_of(webcam, "name") == shown


def test_a_place_that_is_removed_is_watched_no_more(webcam: Tab) -> None:
    draw(webcam, "zone", AROUND_ITS_FEET)
    draw(webcam, "line", BESIDE_IT[:2])
    click(webcam, "#places li:first-child [data-part=remove]")
    webcam.wait("/0 in, 0 out/.test(document.querySelector('#places').innerText)")
    assert counts(webcam) == ["0 in, 0 out"]
    click(webcam, "#places li [data-part=remove]")
    assert webcam.run("document.querySelector('#recipe').hidden")


def test_a_click_into_the_picture_while_nothing_is_drawn_pins_an_object(webcam: Tab) -> None:
    draw(webcam, "zone", AROUND_ITS_FEET)
    webcam.wait("/#1/.test(document.querySelector('#objects').innerText)")
    click(webcam, "#bar [data-action=camera]")
    webcam.wait("document.querySelector('#picture').naturalWidth === 640")
    box = webcam.run("document.querySelector('#sketch').getBoundingClientRect().toJSON()")
    webcam.point(box["x"] + 0.22 * box["width"], box["y"] + 0.5 * box["height"], click=True)
    assert webcam.run("document.querySelector('#objects button').ariaPressed") == "true"
