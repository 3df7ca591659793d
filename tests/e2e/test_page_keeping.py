"""Two models side by side, the pictures of this visit, downloads, and the page as an installed program."""

import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from service.inference.masks.rle import decode_rle
from service.rest.pages import ASSETS
from service.types import Rle
from tests.e2e.chromium import Tab
from tests.e2e.scene import SCENE, SIZE
from tests.e2e.visit import READY, SETTLED, click, requests, rows, slide, text

ENTRIES = "document.querySelectorAll('#entries button')"


def choose_other(tab: Tab, place: int) -> None:
    tab.run(
        f"{{ const select = document.querySelector('#other-model'); select.selectedIndex = {place};"
        " select.dispatchEvent(new Event('change')); }"
    )


def download(tab: Tab, kind: str) -> tuple[str, bytes]:
    """The name and the content of a file that the page saves."""
    with tab.page.expect_download() as saved:
        click(tab, f"[data-save={kind}]")
    return saved.value.suggested_filename, saved.value.path().read_bytes()


def test_another_model_is_shown_beside_the_first(page: Tab) -> None:
    choose_other(page, 1)
    page.wait("/scene 1/.test(document.querySelector('#other-caption').innerText)")
    assert text(page, "#caption").startswith("scene 2 · fp32 · 3 objects · 18 ms")
    assert text(page, "#other-caption").startswith("scene 1 · fp32 · 3 objects")
    own, other = (
        page.run(f"document.querySelector('#{name}').toDataURL()") for name in ("overlay", "other-overlay")
    )
    assert own == other  # the two versions of the scene's model find the same
    slide(page, 0.6)
    assert "2 objects" in text(page, "#caption")
    assert "2 objects" in text(page, "#other-caption")
    assert page.faults() == []


def test_the_other_model_answers_for_the_next_picture_too_until_it_is_switched_off(page: Tab) -> None:
    choose_other(page, 1)
    page.wait("/objects/.test(document.querySelector('#other-caption').innerText)")
    click(page, "#bar [data-action=sample]")
    page.wait("/0 objects/.test(document.querySelector('#other-caption').innerText)")
    page.run(SETTLED)
    shape = "document.querySelector('#{0}').clientWidth / document.querySelector('#{0}').clientHeight"
    for frame in ("frame", "other-frame"):
        assert page.run(shape.format(frame)) == pytest.approx(1, abs=0.01)  # as the sample's picture
    choose_other(page, 0)
    assert page.run("document.querySelector('#other-frame').hidden")
    assert page.run("document.querySelector('#caption').hidden")


def test_the_last_frame_of_the_webcam_is_compared_too(page: Tab) -> None:
    choose_other(page, 1)
    click(page, "#bar [data-action=camera]")
    page.wait(f"{READY} && !document.querySelector('#live').hidden")
    assert page.run("document.querySelector('#other-frame').hidden")
    click(page, "#bar [data-action=camera]")
    page.wait("/1 object /.test(document.querySelector('#other-caption').innerText)")
    choose_other(page, 0)
    choose_other(page, 1)
    page.wait("/1 object /.test(document.querySelector('#other-caption').innerText)")


def test_a_visitor_goes_back_to_a_picture_without_asking_again(page: Tab) -> None:
    assert page.run("document.querySelector('#history').hidden")
    click(page, "#bar [data-action=sample]")
    page.wait(f"{ENTRIES}.length === 2")
    assert rows(page) == []
    asked = requests(page, "v1/segment")
    label = page.run(f"{ENTRIES}[0].ariaLabel")
    assert label == "it's a scene.png: 3 objects by scene 2"
    page.run(f"{ENTRIES}[0].click()")
    page.wait(f"{READY} && document.querySelectorAll('#objects li').length === 3")
    assert page.run(f"{ENTRIES}[0].ariaCurrent") == "true"
    assert text(page, "#summary").startswith("it's a scene.png")
    assert requests(page, "v1/segment") == asked
    assert page.run(f"{ENTRIES}.length") == 2


def test_the_thumbnails_show_the_pictures(page: Tab) -> None:
    click(page, "#bar [data-action=sample]")
    page.wait(f"{ENTRIES}.length === 2")
    page.wait(f"[...{ENTRIES}].every((one) => one.firstChild.height === 96)")
    widths = "[...document.querySelectorAll('#entries canvas')].map(({ width }) => width)"
    page.wait(f"JSON.stringify({widths}) === '[144,96]'")


def test_the_coco_file_holds_the_objects_that_the_page_shows(page: Tab, tmp_path: Path) -> None:
    slide(page, 0.5)
    name, content = download(page, "coco")
    assert name == "it's a scene.coco.json"
    (tmp_path / "scene.json").write_bytes(content)
    dataset = COCO(str(tmp_path / "scene.json"))
    found = dataset.loadAnns(dataset.getAnnIds(imgIds=1))
    assert [one["score"] for one in found] == [0.91, 0.62]
    assert [one["name"] for one in dataset.loadCats(dataset.getCatIds())] == ["person"]
    for one, shape in zip(found, SCENE, strict=False):
        assert np.array_equal(decode_rle(Rle(SIZE, one["segmentation"]["counts"])), shape.mask())


def test_the_overlay_is_saved_in_the_size_of_the_picture(page: Tab, scene: Path) -> None:
    name, content = download(page, "overlay")
    assert name == "it's a scene.overlay.png"
    drawn = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    assert drawn.shape == (SIZE.height, SIZE.width, 3)
    assert not np.array_equal(drawn, np.asarray(cv2.imread(str(scene))))


def test_every_object_is_cut_out(page: Tab) -> None:
    name, content = download(page, "cutouts")
    assert name == "it's a scene.cutouts.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        pictures = [one for one in archive.namelist() if one.endswith(".png")]
    assert len(pictures) == 3


def test_where_nothing_is_found_there_is_nothing_to_save(page: Tab) -> None:
    slide(page, 1)
    assert page.run("[...document.querySelectorAll('[data-save]')].every(({ disabled }) => disabled)")


def test_the_browser_can_install_the_page(tab: Tab, address: str) -> None:
    tab.open(address)
    manifest = tab.call("Page.getAppManifest")
    assert manifest["errors"] == []
    assert json.loads(manifest["data"])["name"] == "BlitzMask"
    assert tab.call("Page.getInstallabilityErrors")["installabilityErrors"] in (
        [],
        [{"errorId": "in-incognito", "errorArguments": []}],  # as the contexts of playwright are
    )


@pytest.mark.parametrize("side", [192, 512])
def test_the_icons_have_the_sizes_that_the_manifest_names(side: int) -> None:
    icon = cv2.imdecode(np.frombuffer(ASSETS[f"icon-{side}.png"].body, np.uint8), cv2.IMREAD_UNCHANGED)
    assert icon is not None
    assert icon.shape == (side, side, 4)


def test_a_page_that_waits_for_its_visitor_animates_nothing(page: Tab) -> None:
    assert page.run("document.getAnimations().length") == 0
