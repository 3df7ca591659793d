"""The appearance of the page: colours, and layouts on small screens."""

import itertools
from typing import Literal

import cv2
import numpy as np
import pytest

from tests.e2e.chromium import Tab
from tests.e2e.visit import SETTLED, click, overlay_pixels, shape_shares

BLUE = (240, 155, 31)  # BGR of the palette's first colour
SWATCHES = """[...document.querySelectorAll('#timings .legend i')].map((swatch) => {
  const context = document.createElement('canvas').getContext('2d');
  context.fillStyle = getComputedStyle(swatch).backgroundColor;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data];
})"""


def test_a_mask_is_translucent_in_its_instances_colour_and_has_a_full_outline(page: Tab) -> None:
    click(page, "[data-layer=labels]")
    drawn = overlay_pixels(page)
    first = shape_shares((drawn.shape[0], drawn.shape[1]), 0)
    inside = drawn[cv2.erode(first, np.ones((9, 9))) == 1]
    assert np.allclose(np.median(inside[:, :3], axis=0), BLUE, atol=3)
    assert 80 < np.median(inside[:, 3]) < 140
    assert (drawn[(first > 0) & (first < 1), 3] > 200).mean() > 0.5


@pytest.mark.parametrize("width", [320, 345, 375])
@pytest.mark.parametrize("view", ["segment", "status"])
def test_a_phone_shows_all_without_scrolling_sideways(page: Tab, view: str, width: int) -> None:
    page.resize(width, 812, scale=2)
    page.run(f"location.hash = '#{view}'")
    page.wait("document.querySelectorAll('#models tr').length || location.hash === '#segment'")
    page.run("document.querySelector('#health').textContent = 'Connecting'")  # the longest word there
    page.run(SETTLED)
    assert page.run("document.documentElement.scrollWidth") == width
    assert page.run(
        "document.querySelector('.scroll').scrollWidth <= document.querySelector('.scroll').clientWidth"
    )


def test_on_a_phone_every_value_of_a_model_stands_behind_its_heading(page: Tab) -> None:
    page.resize(375, 812, scale=2)
    page.run("location.hash = '#status'")
    page.wait("document.querySelectorAll('#models tr').length === 2")
    headings = page.run("[...document.querySelectorAll('thead th')].map(({ innerText }) => innerText)")
    shown = page.run(
        "[...document.querySelectorAll('#models tr:first-child td')]"
        ".map((cell) => getComputedStyle(cell, '::before').content)"
    )
    assert shown == [f'"{heading}"' for heading in headings[1:]]


def test_a_tiles_curve_stands_on_the_tiles_ground(page: Tab) -> None:
    page.resize(375, 812, scale=2)
    page.run("location.hash = '#status'")
    page.wait("document.querySelectorAll('.tile').length > 3")
    gaps = page.run(
        "document.querySelector('.tile .note').textContent = 'many words '.repeat(20);"
        " [...document.querySelectorAll('.tile')].map((tile) => tile.getBoundingClientRect().bottom"
        " - tile.querySelector('svg').getBoundingClientRect().bottom)"
    )
    assert max(gaps) <= 2  # its border


def test_the_visitors_colour_scheme_is_followed(page: Tab) -> None:
    shades = []
    schemes: tuple[Literal["dark", "light"], ...] = ("light", "dark")
    for scheme in schemes:
        page.prefer_color_scheme(scheme)
        background: str = page.run("getComputedStyle(document.body).backgroundColor")
        shades.append(int(background.removeprefix("rgb(").split(",")[0]))
    assert shades[0] > 200 > 60 > shades[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_stage_has_a_colour_of_its_own(page: Tab, scheme: Literal["dark", "light"]) -> None:
    page.prefer_color_scheme(scheme)
    colours = np.array(page.run(SWATCHES), int)
    assert len(colours) >= 5
    assert all(np.abs(one - other).max() > 20 for one, other in itertools.combinations(colours, 2))
