"""Markdown tables of figures."""

import math

from service.inference.card import ArtifactFile
from training.evaluation.accuracy import ClassAccuracy, KindAccuracy
from training.evaluation.evaluate import Evaluation
from training.evaluation.matching import Kind
from training.evaluation.tables import Row, draw_categories, draw_rows, fill_marks


def make_kind(kind: Kind, ap: float) -> KindAccuracy:
    return KindAccuracy(
        kind, (ClassAccuracy("cat", category_id=1, objects=3, ap=ap, ap50=ap + 0.2, ap75=ap),)
    )


def make_row(precision: str, mask_ap: float) -> Row:
    file = ArtifactFile.model_validate(
        {"path": "a", "runtime": "onnx", "precision": precision, "sha256": "0" * 64, "bytes": 2_500_000}
    )
    evaluation = Evaluation(1, make_kind("segm", mask_ap), make_kind("bbox", 0.4), threshold=0.3, f1=0.5)
    return Row(file, {"heatmap": 0.0123, "size": 1.5}, 7.125, evaluation)


def test_a_row_gives_percents_and_what_was_lost() -> None:
    *_, fp32, int8 = draw_rows([make_row("fp32", 0.3), make_row("int8", 0.29)]).splitlines()
    assert fp32 == (
        "| onnx | fp32 | 0.012 | 1.5 | 30.00 (+0.00) | 50.00 (+0.00) | 40.00 (+0.00) | 7.1 | 2.50 |"
    )
    assert "| 29.00 (-1.00) |" in int8


def test_categories_have_a_row_each_and_the_means_the_last() -> None:
    evaluation = Evaluation(1, make_kind("segm", 0.25), make_kind("bbox", math.nan), threshold=0.3, f1=0.5)
    *_, cat, mean = draw_categories(evaluation).splitlines()
    assert cat == "| cat | 3 | 0.250 | 0.450 | 0.250 | 3 | - | - |"
    assert mean == "| **mean** | 3 | 0.250 | 0.450 | 0.250 | 3 | - | - |"


def test_only_what_is_between_marks_is_replaced() -> None:
    text = "a <!-- files -->old<!-- /files --> b <!-- categories --> unclosed"
    filled = fill_marks(text, {"files": "| 1 |", "categories": "| 2 |", "other": "| 3 |"})
    assert filled == "a <!-- files -->\n| 1 |\n<!-- /files --> b <!-- categories --> unclosed"
    assert fill_marks(filled, {"files": "| 1 |"}) == filled
