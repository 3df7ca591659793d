"""Files for labelling tools, read by the tools' own parsers where they are installed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from pycocotools.coco import COCO

from service.dialects.files import WRITERS, Format, Labelled, Style, name_pictures, write_annotations
from service.dialects.outlines import join_rings
from service.inference.masks.forms import form_to_mask
from service.types import Instance, Options, Polygon, Segmentation, Size
from tests.fakes import FakeModel, encode_picture, fake_card

STYLE = Style(fake_card().labels, 1.0)
# A frame with a hole, and a square beside it that is a part of the same object.
FRAME = Polygon(
    ((0, 0, 12, 0, 12, 12, 0, 12), (3, 3, 3, 9, 9, 9, 9, 3), (20, 5, 26, 5, 26, 11, 20, 11)),
)
IMAGE = Size(30, 60)


@pytest.fixture
def pictures() -> list[Labelled]:
    """Two pictures of one name in two folders: a cat in the middle, and a dog of two parts with a hole."""
    middle = FakeModel().segment(encode_picture(60, 30), Options())
    dog = Instance("dog", 8, 0.75, (0, 0, 26, 12), int(form_to_mask(FRAME, IMAGE).sum()), FRAME)
    both = replace(middle, instances=(*middle.instances, dog))
    return name_pictures([(Path("a/x.jpg"), middle), (Path("b/x.jpg"), both)])


def test_one_ring_fills_the_pixels_of_many() -> None:
    ring = Polygon((tuple(join_rings(FRAME.rings).reshape(-1).tolist()),))
    assert np.array_equal(form_to_mask(ring, IMAGE), form_to_mask(FRAME, IMAGE))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools and numpy 2
def test_pycocotools_reads_the_masks_again(pictures: list[Labelled], tmp_path: Path) -> None:
    write_annotations(tmp_path / "out", "coco", pictures, STYLE)
    data = COCO(tmp_path / "out" / "instances.json")
    assert [image["file_name"] for image in data.loadImgs([1, 2])] == ["x.jpg", "x.jpg"]
    dog = data.loadAnns(data.getAnnIds(imgIds=[2], catIds=[8]))[0]
    differing = data.annToMask(dog).astype(bool) != form_to_mask(FRAME, IMAGE)
    assert differing.sum() < 40  # pycocotools rounds outlines to whole pixels: an edge may move by one
    assert not data.annToMask(dog)[5:8, 5:8].any()
    assert data.loadCats([3])[0]["name"] == "cat"


def test_yolo_has_a_line_for_each_object_in_shares_of_the_picture(pictures: list[Labelled]) -> None:
    files = WRITERS["yolo-seg"](pictures, STYLE)
    assert list(files) == ["x.txt", "x-2.txt", "data.yaml"]
    assert files["data.yaml"] == 'names:\n  0: "cat"\n  1: "dog"\n'
    cat, dog = (line.split() for line in files["x-2.txt"].splitlines())
    assert (cat[0], dog[0]) == ("0", "1")
    corners = np.array(cat[1:], float).reshape(-1, 2) * [60, 30]
    assert sorted(map(tuple, corners.round(3).tolist())) == [(20, 10), (20, 20), (40, 10), (40, 20)]


@pytest.mark.parametrize("form", ["coco", "yolo-seg", "voc"])
def test_supervision_reads_the_data_set(form: Format, pictures: list[Labelled], tmp_path: Path) -> None:
    datasets = pytest.importorskip("supervision").DetectionDataset
    picture = encode_picture(60, 30)
    (tmp_path / "x.jpg").write_bytes(picture)
    out = tmp_path / "labels"
    write_annotations(out, form, [replace(pictures[1], stem="x")], STYLE)
    where, masked = str(tmp_path), {"force_masks": True}
    match form:
        case "coco":
            read = datasets.from_coco(where, str(out / "instances.json"), **masked)
        case "yolo-seg":
            read = datasets.from_yolo(where, str(out), str(out / "data.yaml"), **masked)
        case _:
            read = datasets.from_pascal_voc(where, str(out))
    ((_, _, detections),) = read
    assert sorted(read.classes[number] for number in detections.class_id) == ["cat", "dog"]
    if form != "voc":
        covered = detections.mask.any(axis=0)
        assert covered[11:19, 21:39].all()
        assert not covered[5:8, 5:8].any()


def test_labelme_has_a_polygon_for_each_object(pictures: list[Labelled]) -> None:
    content = json.loads(WRITERS["labelme"](pictures, STYLE)["x-2.json"])
    assert [shape["label"] for shape in content["shapes"]] == ["cat", "dog"]
    assert (content["imagePath"], content["imageHeight"], content["imageWidth"]) == ("x.jpg", 30, 60)
    assert all(len(shape["points"]) > 2 for shape in content["shapes"])


def test_voc_has_boxes_counted_from_one(pictures: list[Labelled]) -> None:
    root = ElementTree.fromstring(WRITERS["voc"](pictures, STYLE)["x.xml"])
    assert root.findtext("object/name") == "cat"
    box = [root.findtext(f"object/bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    assert box == ["21", "11", "40", "20"]


def test_cvat_has_the_objects_of_each_image(pictures: list[Labelled]) -> None:
    root = ElementTree.fromstring(WRITERS["cvat"](pictures, STYLE)["annotations.xml"])
    labels = [[shape.get("label") for shape in image] for image in root.iter("image")]
    assert labels == [["cat"], ["cat", "dog"]]
    points = str(next(root.iter("polygon")).get("points")).split(";")
    assert sorted(points) == ["20.00,10.00", "20.00,20.00", "40.00,10.00", "40.00,20.00"]


@pytest.mark.parametrize("form", WRITERS)
def test_boxes_stand_in_for_masks_that_nobody_asked_for(form: Format, pictures: list[Labelled]) -> None:
    bare: Segmentation = FakeModel().segment(encode_picture(60, 30), Options(masks="none"))
    empty = replace(bare, instances=())
    for found in (bare, empty):
        assert WRITERS[form]([replace(pictures[0], found=found)], STYLE)


@pytest.mark.parametrize("form", WRITERS)
def test_the_command_writes_the_files(
    form: Format,
    run_command: Callable[..., tuple[int, str, str]],
    toy_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BLITZ_MODELS_DIR", str(toy_folder.parent))
    (tmp_path / "photo.png").write_bytes(encode_picture(96, 64))
    out = tmp_path / "labels"
    status, _, error = run_command("predict", tmp_path / "photo.png", "--format", form, "--labels", out)
    assert (status, error) == (0, "")
    assert any(out.iterdir())
