"""Families are recognised by the shapes of their outputs, and everything else is refused with the reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from service.errors import InvalidOption
from service.importer.folder import Draft
from service.importer.labels import coco_labels, make_labels, read_names
from service.importer.run import Request, prepare_import
from service.types import Size
from tests.service.importer.exports import (
    CLASSES,
    NAMED,
    NOTES,
    ROWS,
    SIDE,
    UNNAMED,
    Export,
    make_boxes_only,
    make_mask2former,
    make_maskrcnn,
    make_rfdetr,
    make_yolo,
    save,
)

Prepare = Callable[..., Draft]

TITLES = {
    "yolo": "Ultralytics -seg, NMS outside",
    "yolov5": "YOLOv5-seg",
    "rows": "Ultralytics -seg, final rows",
    "rfdetr": "RF-DETR-Seg",
    "mask2former": "Mask2Former",
    "maskrcnn": "Mask R-CNN of torchvision",
    "rtmdet": "RTMDet-Ins",
    "mmdet": "mmdet",
    "solov2": "SOLOv2 by mmdeploy",
    "detectron2": "Mask R-CNN of detectron2",
    "sparseinst": "SparseInst",
    "yolact": "YOLACT",
    "kernels": "SOLOv2 with raw heads",
}


@pytest.fixture
def photo() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture
def prepare(tmp_path: Path, photo: bytes) -> Prepare:
    """Imports a model as far as the folder; `labels` are names."""

    def prepare(model: onnx.ModelProto, *, labels: list[str] | None = None, **wishes: Any) -> Draft:
        path = save(model, tmp_path / "export.onnx")
        listed = tmp_path / "names.txt"
        if labels is not None:
            listed.write_text("\n".join(labels))
        source = None if labels is None else str(listed)
        request = Request(path, tmp_path / "model", "model", photo, labels=source, **wishes)
        return prepare_import(request, report=lambda step: None)

    return prepare


@pytest.mark.parametrize("name", NAMED)
def test_files_that_name_their_classes_need_no_options(name: str, prepare: Prepare) -> None:
    draft = prepare(NAMED[name]())
    assert draft.plan.title.startswith(TITLES[name])
    assert [label.name for label in draft.plan.labels] == ["rose", "lily's leaf", "oak; old"]
    assert draft.plan.input.anchor == "centre"
    assert draft.plan.input.interpolation == "linear"


@pytest.mark.parametrize("name", UNNAMED)
def test_other_files_need_the_names(name: str, prepare: Prepare) -> None:
    with pytest.raises(InvalidOption, match="--labels FILE"):
        prepare(UNNAMED[name]())
    draft = prepare(UNNAMED[name](), labels=["a", "b", "c"])
    assert draft.plan.title.startswith(TITLES[name])
    assert [label.name for label in draft.plan.labels] == ["a", "b", "c"]


@pytest.mark.parametrize("scale", [1, SIDE])
def test_the_unit_of_boxes_is_seen(scale: int, prepare: Prepare) -> None:
    decoder = prepare(make_yolo(scale=scale)).plan.decoder
    assert decoder.model_dump()["normalised"] is (scale == 1)


def test_a_wrong_number_of_names_is_refused_with_both_numbers(prepare: Prepare) -> None:
    with pytest.raises(InvalidOption, match="3 classes and there are 2 names"):
        prepare(make_yolo(), labels=["a", "b"])


def test_the_user_may_rename_the_classes(prepare: Prepare) -> None:
    assert [each.name for each in prepare(make_yolo(), labels=["a", "b", "c"]).plan.labels] == ["a", "b", "c"]


def test_rfdetr_of_coco_has_its_category_ids_and_holes(prepare: Prepare) -> None:
    labels = prepare(make_rfdetr(slots=91)).plan.labels
    assert (labels[0].channel, labels[0].category_id, labels[0].name) == (1, 1, "person")
    assert (labels[-1].channel, labels[-1].category_id, labels[-1].name) == (90, 90, "toothbrush")
    assert len(labels) == 80
    assert 12 not in {label.channel for label in labels}


def test_rfdetr_of_own_classes_has_the_background_last(prepare: Prepare) -> None:
    draft = prepare(make_rfdetr(slots=CLASSES + 1), labels=["a", "b", "c"])
    assert draft.plan.decoder.model_dump()["background"] == "last"
    assert [label.channel for label in draft.plan.labels] == [0, 1, 2]


def test_labels_of_torchvision_begin_at_one(prepare: Prepare) -> None:
    labels = prepare(make_maskrcnn(), labels=["a", "b", "c"]).plan.labels
    assert [label.category_id for label in labels] == [1, 2, 3]


def test_torchvisions_own_list_of_names_loses_the_background_and_the_gaps(prepare: Prepare) -> None:
    labels = prepare(make_maskrcnn(), labels=["__background__", "a", "N/A", "c"]).plan.labels
    assert [(label.channel, label.name) for label in labels] == [(1, "a"), (3, "c")]


def test_a_name_for_each_channel_names_the_background_too(prepare: Prepare) -> None:
    labels = prepare(make_maskrcnn(channels=4), labels=["nothing", "a", "b", "c"]).plan.labels
    assert [(label.channel, label.name) for label in labels] == [(1, "a"), (2, "b"), (3, "c")]
    with pytest.raises(InvalidOption, match="3 classes and there are 2 names"):
        prepare(make_maskrcnn(channels=4), labels=["a", "b"])


def test_pasted_masks_are_cut_off(prepare: Prepare) -> None:
    draft = prepare(make_maskrcnn(pasted=True), labels=["a", "b", "c"])
    assert draft.outputs["masks"].shape == (1, ROWS, 1, 28, 28)
    assert draft.plan.input.fit == "as_is"


def test_a_dynamic_file_needs_a_size_and_takes_it(prepare: Prepare) -> None:
    model = make_yolo(sides=("height", "width"))
    with pytest.raises(InvalidOption, match=f"--size {SIDE}x{SIDE} as its notes say"):
        prepare(model)
    draft = prepare(model, size=Size(SIDE, SIDE))
    assert draft.graph.inputs[0].shape == (1, SIDE, SIDE, 3)


def test_a_size_that_contradicts_the_file_is_refused(prepare: Prepare) -> None:
    with pytest.raises(InvalidOption, match=f"fixed size {SIDE} x {SIDE}"):
        prepare(make_yolo(), size=Size(SIDE, 2 * SIDE))


@pytest.mark.parametrize(("task", "reason"), [("detect", "only detects boxes"), ("pose", "key points")])
def test_other_tasks_are_refused_by_the_files_own_notes(task: str, reason: str, prepare: Prepare) -> None:
    with pytest.raises(InvalidOption, match=reason):
        prepare(make_yolo(notes={**NOTES, "task": task}))


def test_a_detector_is_refused_by_its_outputs(prepare: Prepare) -> None:
    with pytest.raises(InvalidOption, match="no masks"):
        prepare(make_boxes_only())


def test_two_outputs_of_unknown_meaning_are_refused(prepare: Prepare) -> None:
    with pytest.raises(InvalidOption, match=r"meaning of the outputs is not known .*docs/models\.md"):
        prepare(make_mask2former(names=("a", "b")), labels=["a", "b", "c"])


def test_a_family_that_does_not_fit_is_refused(prepare: Prepare) -> None:
    with pytest.raises(InvalidOption, match="not those of the family rfdetr"):
        prepare(make_yolo(), family="rfdetr")


def test_float64_grids_are_refused_with_the_cast_they_need(prepare: Prepare) -> None:
    export = Export()
    grid = export.add("Cast", export.draw(1, 4, 4, 2), to=TensorProto.DOUBLE)
    export.add("GridSample", "images", grid, name="output")
    model = export.close(("images", [1, 3, SIDE, SIDE]), {"output": [1, 3, 4, 4]})
    with pytest.raises(InvalidOption, match="cast to float32 before each GridSample"):
        prepare(model)


@pytest.mark.parametrize("shape", [[1, 1, SIDE, SIDE], [1, 4], [3, 3, 3, 3, 3]])
def test_inputs_that_are_no_pictures_are_refused(shape: list[int], prepare: Prepare) -> None:
    export = Export()
    export.add("Relu", "images", name="output")
    with pytest.raises(InvalidOption, match="no picture of three channels"):
        prepare(export.close(("images", shape), {"output": shape}))


def test_a_graph_with_two_inputs_is_refused(prepare: Prepare) -> None:
    model = make_yolo()
    model.graph.input.append(onnx.helper.make_tensor_value_info("size", TensorProto.INT64, [2]))
    with pytest.raises(InvalidOption, match="takes 2 inputs"):
        prepare(model)


def test_names_come_from_lines_json_or_coco(tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_text("\ufeffcat\n\n dog \n", "utf-8")
    assert read_names(str(path)) == ("cat", "dog")
    path.write_text('["cat", "dog"]')
    assert read_names(str(path)) == ("cat", "dog")
    path.write_text('{"1": "dog", "0": "cat"}')
    assert read_names(str(path)) == ("cat", "dog")
    assert len(read_names("coco")) == len(set(read_names("coco"))) == 80


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'{"1": "dog", "3": "cat"}'])
def test_a_file_of_names_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "names"
    path.write_bytes(content)
    with pytest.raises(InvalidOption):
        read_names(str(path))
    with pytest.raises(InvalidOption, match="no such file"):
        read_names(str(tmp_path / "absent"))


def test_names_that_stand_twice_get_their_numbers() -> None:
    assert [label.name for label in make_labels({0: "a", 1: "a", 2: ""})] == ["a", "a (1)", "class 2"]


def test_cocos_names_have_cocos_numbers() -> None:
    numbers = {label.name: label.category_id for label in coco_labels(None)}
    assert numbers["person"] == 1
    assert numbers["stop sign"] == 13
    assert numbers["toothbrush"] == 90
