"""Distillation: soft targets of a served model, on the student's grid."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from service.inference.card import Label
from service.inference.golden import draw_picture
from service.types import Size
from tests.service.inference.graphs import write_family
from tests.training.conftest import BY_HEART
from training.checkpoint import load_network
from training.data.annotations import read_collection
from training.recipe import prepare_recipe
from training.session import make_trainer
from training.teacher import SoftTargets, Teacher, TeacherRefused, distillation_loss, resize_cells

LABELS = (
    Label(category_id=1, name="Square"),
    Label(category_id=2, name="egg"),
    Label(category_id=3, name="disc"),
)


def draw_pixels(side: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([draw_picture(Size(side, side), seed) for seed in (5, 6)]))


def make_soft(score: float, *, known: bool = True) -> SoftTargets:
    size = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(1, 1, 2, 4)
    return SoftTargets(torch.full((1, 1, 2, 1), score), size, torch.tensor([known]))


def test_the_terms_are_those_of_the_formulas() -> None:
    heads = {"heatmap": torch.full((1, 1, 2, 1), 0.5), "size": torch.full((1, 1, 2, 4), 2.0)}
    terms = distillation_loss(heads, make_soft(0.8))
    total = 1.6  # the sum of the teacher's scores
    assert float(terms["teacher_heatmap"]) == pytest.approx(2 * 0.3**2 * np.log(2) / total)
    assert float(terms["teacher_size"]) == pytest.approx(0.05 * 2 * 0.8 * (1 + 0 + 1 + 2) / total)


def test_a_student_that_agrees_has_no_loss_and_one_without_the_label_learns_nothing() -> None:
    agreed = {"heatmap": torch.full((1, 1, 2, 1), 0.8), "size": make_soft(0.8).size}
    assert [float(term) for term in distillation_loss(agreed, make_soft(0.8)).values()] == [0, 0]
    heads = {"heatmap": torch.full((1, 1, 2, 1), 0.5), "size": torch.zeros(1, 1, 2, 4)}
    terms = distillation_loss(heads, make_soft(0.0, known=False))
    assert [float(term) for term in terms.values()] == [0, 0]


def test_the_targets_are_the_teachers_heads_by_label_name(trained: Path) -> None:
    network, _ = load_network(trained / "run" / "checkpoint.pt")  # its labels are disc and square
    pixels = draw_pixels(192)
    with torch.no_grad():
        heads = network(pixels)
    soft = Teacher(trained / "model", LABELS).answer(pixels, Size(48, 48))
    assert soft.known.tolist() == [True, False, True]
    assert torch.allclose(soft.heatmap[..., [2, 0]], heads["heatmap"], atol=1e-3)
    assert not soft.heatmap[..., 1].any()
    assert torch.allclose(soft.size, heads["size"], rtol=1e-3, atol=1e-2)


def test_the_targets_of_another_canvas_are_in_the_students_pixels(trained: Path) -> None:
    teacher, pixels = Teacher(trained / "model", LABELS), draw_pixels(192)
    small = resize_cells(pixels.float(), Size(96, 96)).round().to(torch.uint8)
    blurred = resize_cells(small.float(), Size(192, 192)).round().to(torch.uint8)
    found, wanted = teacher.answer(small, Size(24, 24)), teacher.answer(blurred, Size(48, 48))
    assert torch.allclose(found.size, resize_cells(wanted.size, Size(24, 24)) / 2, atol=1e-3)
    assert torch.allclose(found.heatmap, resize_cells(wanted.heatmap, Size(24, 24)), atol=1e-5)


def test_a_step_with_a_teacher_has_its_terms(tiny_set: Path, trained: Path, tmp_path: Path) -> None:
    recipe = replace(BY_HEART, epochs=1, teacher=trained / "model")
    collection = read_collection(tiny_set / "instances_train.json", tiny_set / "images")
    terms: list[set[str]] = []
    make_trainer(recipe, collection, tmp_path / "run").run(lambda report: terms.append(set(report.terms)))
    assert terms
    assert all({"focal", "teacher_heatmap", "teacher_size"} <= each for each in terms)


def test_a_teacher_without_a_common_label_is_refused(trained: Path) -> None:
    with pytest.raises(TeacherRefused, match="none of the labels"):
        Teacher(trained / "model", LABELS[1:2])


def test_a_teacher_of_another_family_is_refused(tmp_path: Path) -> None:
    folder = write_family(tmp_path / "toy", "prototypes")
    with pytest.raises(TeacherRefused, match="only a BlitzMask can teach"):
        Teacher(folder, LABELS)


def test_only_a_blitzmask_learns_from_a_teacher(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="only a blitzmask"):
        prepare_recipe("mobile_yolact", [], teacher=tmp_path)
