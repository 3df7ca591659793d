"""A run's log: means of steps, marks, and no line twice."""

import json
from pathlib import Path

from training.run_log import JsonLog, MeanPrecision, Report, ValidationResult, read_log


def make_report(step: int, loss: float = 1.0, validation: ValidationResult | None = None) -> Report:
    terms = {"focal": loss, "dice": 0.5}
    return Report(step, step // 4, step / 10, 0.1, 0.9, terms, images_per_second=4.0, validation=mark)


def test_the_log_holds_means_of_the_terms(tmp_path: Path) -> None:
    log = JsonLog(tmp_path / "log.jsonl", every=2)
    for step, loss in enumerate((1.0, 2.0, 5.0), 1):
        log.write(make_report(step, loss))
    (line,) = read_log(tmp_path / "log.jsonl")
    assert (line["focal"], line["step"], line["momentum"]) == (1.5, 2, 0.9)


def test_a_mark_is_written_at_once(tmp_path: Path) -> None:
    log = JsonLog(tmp_path / "log.jsonl", every=20)
    log.write(make_report(1, validation=ValidationResult(MeanPrecision(mask_ap=0.25), is_best=True)))
    (line,) = read_log(tmp_path / "log.jsonl")
    assert line["mask_ap"] == 0.25


def test_a_resumed_run_overwrites_what_was_logged_beyond_its_checkpoint(tmp_path: Path) -> None:
    first = JsonLog(tmp_path / "log.jsonl", every=1)
    for step in (1, 2, 3):
        first.write(make_report(step, loss=9.0))
    resumed = JsonLog(tmp_path / "log.jsonl", every=1)
    for step in (2, 3):
        resumed.write(make_report(step))
    assert [(line["step"], line["focal"]) for line in read_log(tmp_path / "log.jsonl")] == [
        (1, 9.0),
        (2, 1.0),
        (3, 1.0),
    ]


def test_a_line_cut_short_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"step": 1}) + '\n{"step": 2, "ep')
    assert read_log(path) == [{"step": 1}]


def test_a_loss_is_the_sum_of_its_terms() -> None:
    assert make_report(1, loss=2.0).loss == 2.5
