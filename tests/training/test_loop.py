"""The loop: exact resumption, schedules, validation and frozen weights."""

import itertools
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from training import loop
from training.checkpoint import load_network, read_checkpoint
from training.data.annotations import read_collection
from training.data.augment import Augmentation
from training.data.groundtruth import TargetRules
from training.loop import Trainer
from training.losses import LossWeights
from training.lr_schedule import Cosine, Diverged, LrFinderSchedule
from training.lrfinder import LrFinder
from training.networks.families import Network, build_network
from training.recipe import Recipe, Stage
from training.run_log import MeanPrecision, StepReport
from training.validation import Validation

TINY = Recipe(
    neck_channels=8,
    width=0.25,
    epochs=6,
    stages=(Stage(0.5, side=64), Stage(1.0, side=96, upsampling=3)),
    batch_size=2,
    schedule=Cosine(warm_up=0.5),
    workers=0,
    bfloat16=False,
    augmentation=Augmentation(),
)


def make_trainer(data: Path, folder: Path, recipe: Recipe = TINY) -> Trainer:
    torch.manual_seed(recipe.seed)
    collection = read_collection(data / "instances_train.json", data / "images")
    network = build_network(recipe.architecture(len(collection.labels)))
    return Trainer(network, collection, recipe, folder)


def run(trainer: Trainer, *, until: float = 1.0) -> list[StepReport]:
    reports: list[StepReport] = []
    trainer.run(reports.append, until=until)
    return reports


def state(trainer: Trainer) -> dict[str, Tensor]:
    return trainer.network.state_dict() | {
        f"average.{name}": value for name, value in trainer.averaged_network.state_dict().items()
    }


def assert_same_state(expected: Trainer, found: Trainer) -> None:
    values = state(found)
    for name, value in state(expected).items():
        assert value.equal(values[name]), name


def test_a_resumed_run_ends_exactly_where_an_unbroken_one_does(tiny_set: Path, tmp_path: Path) -> None:
    whole, broken = make_trainer(tiny_set, tmp_path / "whole"), make_trainer(tiny_set, tmp_path / "broken")
    expected = run(whole)
    first = run(broken, until=0.4)
    resumed = make_trainer(tiny_set, tmp_path / "broken")
    assert resumed.resume()
    rest = run(resumed)
    assert [report.terms for report in first + rest] == [report.terms for report in expected]
    assert_same_state(whole, resumed)


DENSE = replace(
    TINY,
    stages=(Stage(0.5, side=64, mask_cells=3), Stage(1.0, side=96, mask_cells=2, upsampling=3)),
    rules=TargetRules(overlap=0.5, dense=0.54, enclosed=True),
    losses=LossWeights(per_batch=True, projection=0.5),
    mask_share=0.5,
    batch_size=1,
)


def test_dense_samples_are_the_same_after_an_interruption(tiny_set: Path, tmp_path: Path) -> None:
    whole, broken = (make_trainer(tiny_set, tmp_path / name, DENSE) for name in ("whole", "broken"))
    expected = run(whole, until=0.6)
    first = run(broken, until=0.3)
    resumed = make_trainer(tiny_set, tmp_path / "broken", DENSE)
    resumed.resume()
    assert [item.terms for item in first + run(resumed, until=0.6)] == [item.terms for item in expected]


def test_the_optimisers_state_goes_by_the_names_of_the_weights(tiny_set: Path, tmp_path: Path) -> None:
    run(make_trainer(tiny_set, tmp_path / "run", replace(TINY, frozen_blocks=1)), until=0.1)
    content = read_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert content["optimizer"].keys() <= content["network"].keys()
    assert "backbone.blocks.0.conv.weight" not in content["optimizer"]
    name = "neck.last.1.conv.weight"
    assert content["optimizer"][name]["exp_avg"].shape == content["network"][name].shape


def test_snapshots_hold_the_averaged_weights(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    trainer = make_trainer(tiny_set, tmp_path / "run", replace(TINY, batch_size=1, snapshot_minutes=30))
    trainer.seconds = 1799.999
    run(trainer, until=0.5)
    trainer.seconds = 3600.0
    run(trainer)
    assert sorted(path.name for path in (tmp_path / "run" / "snapshots").iterdir()) == ["0001.pt", "0002.pt"]
    network, labels = load_network(tmp_path / "run" / "snapshots" / "0002.pt")
    assert [label.name for label in labels] == ["disc", "square"]
    assert network.state_dict().keys() == trainer.averaged_network.state_dict().keys()


def test_a_stage_lasts_to_the_end_of_the_epoch_it_began_in(tiny_set: Path, tmp_path: Path) -> None:
    """It is also resumed there: half of three epochs is in the middle of the second."""
    recipe = replace(TINY, batch_size=1, epochs=3)
    whole, broken = (make_trainer(tiny_set, tmp_path / name, recipe) for name in ("whole", "broken"))
    expected = run(whole)
    first = run(broken, until=0.5)
    resumed = make_trainer(tiny_set, tmp_path / "broken", recipe)
    resumed.resume()
    assert [item.terms for item in first + run(resumed)] == [item.terms for item in expected]


def test_without_a_checkpoint_there_is_nothing_to_resume(tiny_set: Path, tmp_path: Path) -> None:
    assert not make_trainer(tiny_set, tmp_path / "empty").resume()


def test_the_rate_warms_up_and_ends_near_zero(tiny_set: Path, tmp_path: Path) -> None:
    rates = [report.rate for report in run(make_trainer(tiny_set, tmp_path / "run"))]
    assert rates[0] == 0
    assert max(rates) == rates[3] == TINY.rate
    assert rates[-1] < 0.3 * TINY.rate


def test_a_run_by_the_clock_ends_by_the_clock(tiny_set: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_set, tmp_path / "run", replace(TINY, hours=1.0))
    trainer.seconds = 3599.99
    reports = run(trainer)
    assert len(reports) == 1
    assert reports[0].rate < 1e-4 * TINY.rate
    assert reports[0].progress >= 1


def test_frozen_blocks_keep_weights_and_statistics(tiny_set: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_set, tmp_path / "run", replace(TINY, frozen_blocks=3))
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    run(trainer)
    for name, value in trainer.network.state_dict().items():
        frozen = name.startswith(("backbone.blocks.0.", "backbone.blocks.1.", "backbone.blocks.2."))
        if frozen or name.endswith("conv.weight"):
            assert value.equal(before[name]) == frozen, name


def test_the_average_lags_behind_the_network(tiny_set: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_set, tmp_path / "run")
    name = "neck.last.1.conv.weight"
    start = trainer.network.state_dict()[name].clone()
    run(trainer)
    end, mean = (network.state_dict()[name] for network in (trainer.network, trainer.averaged_network))
    assert 0 < (mean - start).norm() < (end - start).norm()


def test_bfloat16_trains_too(tiny_set: Path, tmp_path: Path) -> None:
    reports = run(make_trainer(tiny_set, tmp_path / "run", replace(TINY, bfloat16=True, epochs=2)))
    assert all(torch.isfinite(torch.tensor(list(report.terms.values()))).all() for report in reports)


def test_a_set_smaller_than_a_batch_still_trains(tiny_set: Path, tmp_path: Path) -> None:
    assert len(run(make_trainer(tiny_set, tmp_path / "run", replace(TINY, batch_size=8, epochs=2)))) == 2


class Interrupted(Exception):
    """Ctrl-C, without ending the tests."""


def test_a_run_interrupted_at_any_step_ends_as_if_nothing_had_happened(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It continues from its last checkpoint and repeats the steps since then.

    It is interrupted twice: at the end of an epoch, and in the middle of one.
    """
    recipe = replace(TINY, batch_size=1, epochs=3, augmentation=None)
    whole = make_trainer(tiny_set, tmp_path / "whole", recipe)
    run(whole)
    for step in (2, 5):

        def interrupt(report: StepReport, step: int = step) -> None:
            if report.step == step:
                raise Interrupted

        broken = make_trainer(tiny_set, tmp_path / "broken", recipe)
        broken.resume()
        with monkeypatch.context() as patch:
            patch.setattr("training.loop.SAVE_EVERY", 0.0)
            with pytest.raises(Interrupted):
                broken.run(interrupt)
    resumed = make_trainer(tiny_set, tmp_path / "broken", recipe)
    resumed.resume()
    run(resumed)
    assert_same_state(whole, resumed)


def test_a_run_is_not_resumed_with_other_labels(tiny_set: Path, tmp_path: Path) -> None:
    run(make_trainer(tiny_set, tmp_path / "run"), until=0.1)
    file = tiny_set / "instances_train.json"
    file.write_text(file.read_text().replace("disc", "coin"))
    with pytest.raises(ValueError, match="another labels: use another --out"):
        make_trainer(tiny_set, tmp_path / "run").resume()


class Scores:
    """An evaluation with given scores."""

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)

    def __call__(self, network: Network) -> MeanPrecision:
        assert not network.training
        return MeanPrecision(mask_ap=self.scores.pop(0))


PATIENT = replace(TINY, validation=Validation(patience=2))


def test_a_run_that_gets_no_better_stops_and_keeps_its_best(tiny_set: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_set, tmp_path / "run", PATIENT)
    trainer.evaluate = Scores(0.2, 0.4, 0.3, 0.4, 0.9)
    kept: dict[str, Tensor] = {}

    def keep(report: StepReport) -> None:
        if report.step == 2:
            kept.update(
                {name: value.clone() for name, value in trainer.averaged_network.state_dict().items()}
            )

    trainer.run(keep)
    assert trainer.step == 4
    network, _ = load_network(tmp_path / "run" / "checkpoint.pt")
    assert all(value.equal(kept[name]) for name, value in network.state_dict().items())
    assert not all(value.equal(kept[name]) for name, value in trainer.averaged_network.state_dict().items())


def test_the_patience_is_the_same_for_a_resumed_run(tiny_set: Path, tmp_path: Path) -> None:
    first = make_trainer(tiny_set, tmp_path / "run", PATIENT)
    first.evaluate = Scores(0.4, 0.3)
    run(first, until=2 / 6)
    resumed = make_trainer(tiny_set, tmp_path / "run", PATIENT)
    resumed.evaluate = Scores(0.1)
    resumed.resume()
    assert len(run(resumed)) == 1


def test_without_patience_the_end_is_what_counts(tiny_set: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_set, tmp_path / "run", replace(TINY, validation=Validation(every=3)))
    trainer.evaluate = Scores(0.9, 0.1)
    marks = [report.validation for report in run(trainer)]
    assert [mark is not None for mark in marks] == [False, False, True] * 2
    assert [mark.is_best for mark in marks if mark] == [True, False]
    network, _ = load_network(tmp_path / "run" / "checkpoint.pt")
    end = trainer.averaged_network.state_dict()
    assert all(value.equal(end[name]) for name, value in network.state_dict().items())


def test_validation_does_not_count_as_training_time(tiny_set: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_set, tmp_path / "run", replace(TINY, epochs=2, validation=Validation()))

    def sleepy(network: Network) -> MeanPrecision:
        time.sleep(0.5)
        return MeanPrecision()

    trainer.evaluate = sleepy
    start = time.monotonic()
    run(trainer)
    assert trainer.seconds < time.monotonic() - start - 0.9  # two validations


def test_a_run_by_cpu_time_ends_when_that_is_used_up(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = itertools.count(0, 10)  # every step takes 10 seconds
    monkeypatch.setattr(time, "process_time", lambda: float(next(readings)))
    recipe = replace(TINY, hours=60 / 3600, clock="cpu")
    assert [report.progress for report in run(make_trainer(tiny_set, tmp_path / "run", recipe))] == (
        pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    )


FOUND = replace(
    TINY,
    optimizer="sgd",
    schedule=LrFinderSchedule(LrFinder(growth=1e-3, patience=1, tune_epochs=1)),
    batch_size=1,
    backbone_rate=1.0,
    stages=(Stage(1.0, side=64), Stage(2.0, side=64, upsampling=3)),
)


def poison(trainer: Trainer) -> None:
    with torch.no_grad():
        trainer.network.get_parameter("neck.last.1.conv.weight").fill_(torch.nan)


def test_the_finder_raises_the_rate_epoch_by_epoch(tiny_set: Path, tmp_path: Path) -> None:
    reports = run(make_trainer(tiny_set, tmp_path / "run", FOUND), until=0.5)
    assert [report.rate for report in reports] == pytest.approx([1e-3, 1e-3, 2e-3, 2e-3, 3e-3, 3e-3])


def test_an_epoch_that_made_things_worse_is_undone(tiny_set: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_set, tmp_path / "run", FOUND)
    run(trainer, until=0.2)  # one epoch of two steps, and half of the next
    before = {name: value.clone() for name, value in trainer.rollback["network"].items()}
    name = "neck.last.1.conv.weight"
    assert not trainer.network.get_parameter(name).equal(before[name])
    trainer.losses = [1e6]
    trainer._finish_epoch(1)
    assert trainer.schedule_state.rolls_back
    assert not trainer.optimizer.state
    for name, value in trainer.network.state_dict().items():
        assert value.equal(before[name]), name


def test_an_explosion_ends_the_epoch_and_the_run_goes_on_from_the_weights_before(
    tiny_set: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(tiny_set, tmp_path / "run", FOUND)
    run(trainer, until=0.2)
    good = {name: value.clone() for name, value in trainer.rollback["network"].items()}
    poison(trainer)
    reports = run(trainer, until=0.3)
    assert not all(math.isfinite(sum(report.terms.values())) for report in reports)
    assert trainer.schedule_state.rolls_back
    for name, value in trainer.network.state_dict().items():
        assert value.equal(good[name]), name


def test_the_finder_resumes_exactly_in_the_middle_of_an_epoch(tiny_set: Path, tmp_path: Path) -> None:
    whole, broken = (make_trainer(tiny_set, tmp_path / name, FOUND) for name in ("whole", "broken"))
    expected = run(whole, until=0.6)
    first = run(broken, until=0.4)
    resumed = make_trainer(tiny_set, tmp_path / "broken", FOUND)
    assert resumed.resume()
    assert [item.terms for item in first + run(resumed, until=0.6)] == [item.terms for item in expected]
    assert resumed.schedule_state == whole.schedule_state
    assert_same_state(whole, resumed)


def test_a_run_by_the_finder_ends_after_its_tuning(tiny_set: Path, tmp_path: Path) -> None:
    finder = LrFinder(growth=0.1, halvings=0, patience=1, momenta=(0.9,), descents=(0.1,), tune_epochs=1)
    trainer = make_trainer(tiny_set, tmp_path / "run", replace(FOUND, schedule=LrFinderSchedule(finder)))
    reports = run(trainer, until=50)
    assert trainer.schedule_state.is_over(0.0)
    assert reports[-1].rate == finder.tune_rate


def test_an_explosion_by_the_clock_says_what_to_do(tiny_set: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_set, tmp_path / "run")
    poison(trainer)
    with pytest.raises(Diverged, match="set a lower rate"):
        run(trainer)


def test_sgd_takes_its_momentum_from_the_schedule(tiny_set: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_set, tmp_path / "run", replace(TINY, optimizer="sgd", momentum=0.7, epochs=1))
    run(trainer)
    assert {group["momentum"] for group in trainer.optimizer.param_groups} == {0.7}
