"""The page in a real browser: actions of a visitor, and the pixels that follow."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from service.inference.masks.rle import decode_rle
from service.types import Rle
from tests.e2e.chromium import Tab
from tests.e2e.scene import SCENE, SIZE
from tests.e2e.visit import (
    READY,
    SETTLED,
    click,
    overlay_pixels,
    place_of,
    requests,
    rows,
    shape_shares,
    slide,
    text,
)
from tests.running import PATIENCE_S


def test_a_chosen_picture_gets_a_list_of_what_scores_above_the_default_threshold(page: Tab) -> None:
    assert rows(page) == ["person 141 × 231 0.91", "person 113 × 173 0.62", "cat 157 × 127 0.48"]
    assert text(page, "#objects-count") == "3 of 4"
    assert text(page, "#summary") == "it's a scene.png · 540 × 360 · scene 2 · onnxruntime fp32"


def test_the_masks_drawn_are_the_masks_of_the_answer(page: Tab) -> None:
    for layer in ("boxes", "labels"):
        click(page, f"[data-layer={layer}]")
    drawn = overlay_pixels(page)
    assert drawn.shape[0] > SIZE.height  # enlarged, so that a shift by one pixel would show
    covered = np.zeros(drawn.shape[:2], np.float32)
    for at in range(3):
        covered = np.maximum(covered, shape_shares((drawn.shape[0], drawn.shape[1]), at))
    line = cv2.dilate(cv2.morphologyEx(covered, cv2.MORPH_GRADIENT, np.ones((3, 3))), np.ones((3, 3))) > 0
    assert (drawn[(covered == 1) & ~line, 3] > 0).all()
    assert (drawn[(covered == 0) & ~line, 3] == 0).all()
    assert line.mean() < 0.05


def test_the_page_and_the_servers_own_drawing_agree(page: Tab, address: str, scene: Path) -> None:
    headers = {"content-type": "image/png", "accept": "image/png"}
    answer = httpx.post(
        f"{address}v1/segment", content=scene.read_bytes(), headers=headers, timeout=PATIENCE_S
    )
    theirs = np.asarray(cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR), np.int64)
    changed = np.abs(theirs - np.asarray(cv2.imread(str(scene)))).max(axis=2) > 4
    ours = np.asarray(cv2.resize(overlay_pixels(page)[..., 3], (SIZE.width, SIZE.height))) > 0
    for shape in SCENE[:3]:  # within its box, below the labels that both put at its top
        rows_, columns = np.nonzero(shape.mask())
        inside = np.s_[rows_.min() + 25 : rows_.max() - 3, columns.min() + 4 : columns.max() - 3]
        assert 0.3 < changed[inside].mean() < 0.9
        assert (changed[inside] == ours[inside]).mean() > 0.97


def test_the_slider_filters_without_asking_the_server_again(page: Tab) -> None:
    slide(page, 0.5)
    assert [row[:6] for row in rows(page)] == ["person", "person"]
    slide(page, 0.05)
    assert len(rows(page)) == 4
    assert text(page, "#objects-hint") == ""
    slide(page, 1)
    assert rows(page) == []
    assert "Lower the threshold" in text(page, "#objects-hint")
    assert not overlay_pixels(page).any()
    assert requests(page, "v1/segment") == 1


def test_a_class_can_be_switched_off_and_on(page: Tab) -> None:
    click(page, "[data-label=person]")
    assert rows(page) == ["cat 157 × 127 0.48"]
    assert page.run("document.querySelector('[data-label=person]').ariaPressed") == "false"
    click(page, "[data-label=person]")
    assert len(rows(page)) == 3


def test_the_curl_line_gives_what_the_page_shows(page: Tab, scene: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    slide(page, 0.1)
    click(page, "[data-label=person]")
    line = text(page, "#code")
    answer = subprocess.run(["sh", "-c", line], cwd=scene.parent, capture_output=True, check=True).stdout
    found = json.loads(answer)["instances"]
    assert [(one["label"], f"{one['score']:.2f}") for one in found] == [("cat", "0.48"), ("cup", "0.12")]
    click(page, "#tab-json")
    shown = json.loads(text(page, "#code"))["instances"]
    assert [one["bbox"] for one in shown] == [one["bbox"] for one in found]


def test_with_all_classes_switched_off_all_says_so(page: Tab) -> None:
    for label in ("person", "cat"):
        click(page, f"[data-label={label}]")
    assert text(page, "#objects-hint") == "All classes found here are switched off."
    assert page.run("document.querySelector('#overlay').ariaLabel") == text(page, "#objects-hint")
    line = text(page, "#code")
    assert subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout == b""
    click(page, "#tab-json")
    assert json.loads(text(page, "#code"))["instances"] == []


def test_pointing_at_an_object_highlights_it_and_its_row(page: Tab) -> None:
    before = overlay_pixels(page)
    page.point(*place_of(page, 430, 280))
    page.run(SETTLED)
    assert page.run("document.querySelector('#objects [data-active]').innerText").startswith("cat")
    assert not np.array_equal(before, overlay_pixels(page))
    page.point(*place_of(page, 520, 20))
    page.run(SETTLED)
    assert np.array_equal(before, overlay_pixels(page))


def test_a_hole_in_a_mask_is_not_the_object(page: Tab) -> None:
    page.point(*place_of(page, *SCENE[0].center))
    page.run(SETTLED)
    assert page.run("document.querySelector('#objects [data-active]')") is None


def test_a_click_keeps_an_object_highlighted_until_escape(page: Tab) -> None:
    page.point(*place_of(page, 430, 280), click=True)
    page.point(*place_of(page, 520, 20))
    page.run(SETTLED)
    assert page.run("document.querySelector('#objects [aria-pressed=true]').innerText").startswith("cat")
    page.press("Escape")
    assert page.run("document.querySelector('#objects [aria-pressed=true]')") is None


def test_the_list_is_one_stop_for_the_keyboard_with_arrows_within(page: Tab) -> None:
    page.run("document.querySelector('#objects button').focus()")
    page.press("ArrowDown")
    page.press("ArrowDown")
    active = "document.activeElement.innerText"
    assert page.run(active).startswith("cat")
    assert page.run("document.activeElement.hasAttribute('data-active')")
    page.press("Tab")
    assert page.run("document.activeElement.dataset.kind") == "zone"


def test_another_version_of_the_model_is_asked_at_once(page: Tab) -> None:
    page.run(
        "{ const select = document.querySelector('#model'); select.selectedIndex = 1;"
        " select.dispatchEvent(new Event('change')); }"
    )
    page.wait("document.querySelector('#summary').innerText.includes('scene 1')")
    assert "model=scene&version=1" in text(page, "#code")


@pytest.mark.parametrize("masks", ["rle_crop", "polygon"])
def test_masks_are_drawn_alike_in_every_form(page: Tab, masks: str) -> None:
    before = overlay_pixels(page)
    page.run(
        f"{{ const select = document.querySelector('#format'); select.value = '{masks}';"
        " select.dispatchEvent(new Event('change')); }"
    )
    page.wait(f"document.querySelector('#code').innerText.includes('masks={masks}')")
    page.wait(READY)
    page.run(SETTLED)
    click(page, "#tab-json")
    assert {"rle_crop": '"offset"', "polygon": '"rings"'}[masks] in text(page, "#code")
    change = np.abs(overlay_pixels(page).astype(int) - before)
    assert (change > 8).mean() < 0.001


def test_without_masks_boxes_are_drawn(page: Tab) -> None:
    page.run(
        "{ const select = document.querySelector('#format'); select.value = 'none';"
        " select.dispatchEvent(new Event('change')); }"
    )
    page.wait("document.querySelector('#code').innerText.includes('masks=none')")
    page.run(SETTLED)
    click(page, "[data-layer=labels]")
    drawn = overlay_pixels(page)
    assert 0 < (drawn[..., 3] > 0).mean() < 0.02
    page.point(*place_of(page, *SCENE[0].center))  # a hole only where there is a mask
    assert page.run("document.querySelector('#objects [data-active]').innerText").startswith("person")


def test_a_dropped_picture_is_segmented(tab: Tab, address: str, scene: Path) -> None:
    tab.open(address)
    tab.drop_file(400, 300, scene)
    tab.wait(READY)
    assert len(rows(tab)) == 3


def test_a_pasted_picture_is_segmented(tab: Tab, address: str, scene: Path) -> None:
    tab.open(address)
    encoded = base64.b64encode(scene.read_bytes()).decode()
    tab.run(
        "{ const bytes = Uint8Array.from(atob('" + encoded + "'), (letter) => letter.charCodeAt());"
        " const data = new DataTransfer();"
        " data.items.add(new File([bytes], '', { type: 'image/png' }));"
        " document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data })); }"
    )
    tab.wait(READY)
    assert text(tab, "#summary").startswith("pasted.png")


def test_objects_that_are_not_listed_are_explained(page: Tab) -> None:
    assert text(page, "#objects-count") == "3 of 4"
    assert text(page, "#objects-hint") == "Below the threshold: 1."
    click(page, "#classes [data-label=cat]")
    assert text(page, "#objects-hint") == "Below the threshold: 1. In classes that are switched off: 1."


def test_the_keyboard_goes_on_from_the_picture_when_the_sample_was_chosen(tab: Tab, address: str) -> None:
    tab.open(address)
    tab.page.focus(".empty [data-action=sample]")
    tab.press("Enter")
    tab.wait(READY)
    assert tab.run("document.activeElement.id") == "stage"


def test_the_sample_is_there_and_a_picture_without_objects_says_so(tab: Tab, address: str) -> None:
    tab.open(address)
    click(tab, ".empty [data-action=sample]")
    tab.wait(READY)
    assert text(tab, "#objects-hint") == "Nothing found in this picture."
    assert tab.run("document.querySelector('#picture').naturalWidth") == 512


def test_what_is_copied_is_whole(page: Tab) -> None:
    page.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    click(page, "#tab-json")
    click(page, "#copy")
    assert text(page, "#copy") == "Copied"
    answer = json.loads(page.run("copied"))
    for instance, shape in zip(answer["instances"], SCENE, strict=False):
        mask = decode_rle(Rle(SIZE, instance["segmentation"]["counts"]))
        assert np.array_equal(mask, shape.mask())
    assert len(answer["instances"]) == 3


def test_the_status_view_shows_models_and_figures(page: Tab) -> None:
    page.run("location.hash = '#status'")
    page.wait("document.querySelectorAll('#models tr').length === 2")
    assert "scene\t2\t3\t320 × 320\tonnxruntime 1.31.1\tfp32" in text(page, "#models")
    page.wait("document.querySelector('#stages').innerText.includes('14 ms')")
    assert text(page, "#tiles").startswith("Throughput")
    assert page.run("document.querySelector('[data-view=status][aria-current=page]') !== null")


def test_the_page_needs_no_other_host_and_breaks_none_of_its_own_rules(page: Tab, address: str) -> None:
    page.run("location.hash = '#status'")
    page.wait("document.querySelectorAll('#models tr').length === 2")
    origins = page.run(
        "performance.getEntriesByType('resource').map(({ name }) => new URL(name).origin + '/')"
    )
    assert {origin for origin in origins if origin.startswith("http")} == {address}
    assert page.faults() == []
