"""Early stopping."""

import math

import pytest

from training.early_stopping import EarlyStopping, Validation


def watch(*scores: float) -> EarlyStopping:
    state = EarlyStopping()
    for epoch, score in enumerate(scores):
        state = state.after(score, epoch=epoch)
    return state


def test_the_best_is_remembered_with_its_epoch() -> None:
    assert watch(0.1, 0.5, 0.4, 0.5) == EarlyStopping(0.5, epoch=1, stale=2)


def test_nothing_to_find_is_no_improvement() -> None:
    assert watch(math.nan, math.nan) == EarlyStopping(stale=2)


@pytest.mark.parametrize(("patience", "out"), [(None, False), (3, False), (2, True), (1, True)])
def test_patience_runs_out_after_so_many(patience: int | None, out: bool) -> None:
    assert watch(0.5, 0.4, 0.4).is_out_of_patience(Validation(patience=patience)) is out


def test_without_validation_a_run_is_not_stopped_early() -> None:
    assert not watch(0.5, 0.4, 0.4).is_out_of_patience(None)


def test_validations_come_every_so_many_epochs() -> None:
    assert [epoch for epoch in range(7) if Validation(every=3).is_due(epoch)] == [2, 5]
