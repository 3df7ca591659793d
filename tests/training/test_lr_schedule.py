"""All schedules through the interface that the loop uses."""

import json
import math

import pytest

from training.lr_schedule import Cosine, Diverged, LrFinderSchedule, Schedule, Steps, StepSettings, Trapezoid
from training.lrfinder import LrFinder

PEAK = StepSettings(rate=0.2, momentum=0.9)
SCHEDULES: list[Schedule] = [Cosine(), Trapezoid(), Steps(), LrFinderSchedule()]


def test_a_cosine_grows_then_falls_to_nothing() -> None:
    state = Cosine(warm_up=0.1).begin(PEAK)
    rates = [state.step_settings(progress).rate for progress in (0.05, 0.1, 0.55, 1.0)]
    assert rates == pytest.approx([0.1, 0.2, 0.1, 0.0])
    assert state.step_settings(0.3).momentum == 0.9


def test_a_trapezoid_is_flat_until_it_falls() -> None:
    state = Trapezoid(warm_up=0.1, decay=0.4).begin(PEAK)
    rates = [state.step_settings(progress).rate for progress in (0.05, 0.1, 0.6, 0.7, 1.0)]
    assert rates == pytest.approx([0.1, 0.2, 0.2, 0.1, 0.0])


def test_a_trapezoid_of_another_length_is_the_same_until_it_falls() -> None:
    short, long = (Trapezoid(warm_up=0.0, decay=0.25).begin(PEAK) for _ in range(2))
    assert [short.step_settings(epoch / 40) for epoch in range(30)] == [
        long.step_settings(epoch / 80) for epoch in range(30)
    ]


@pytest.mark.parametrize("schedule", [Cosine(), Trapezoid()])
def test_a_rate_that_fell_to_zero_stays_there(schedule: Schedule) -> None:
    assert schedule.begin(PEAK).step_settings(1.2).rate == pytest.approx(0.0)


def test_steps_are_a_tenth_of_the_one_before() -> None:
    state = Steps(milestones=(0.5, 0.8), warm_up=0.1).begin(PEAK)
    rates = [state.step_settings(progress).rate for progress in (0.0, 0.05, 0.1, 0.49, 0.5, 0.8, 1.0)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.2, 0.02, 0.002, 0.002])


def test_steps_without_a_warm_up_start_at_the_peak() -> None:
    assert Steps().begin(PEAK).step_settings(0.0).rate == 0.2


@pytest.mark.parametrize("schedule", [Cosine(), Trapezoid(), Steps()])
def test_a_schedule_by_progress_is_over_at_the_end_of_the_run(schedule: Schedule) -> None:
    state = schedule.begin(PEAK).after_epoch(1.0)
    assert (state.is_over(0.99), state.is_over(1.0)) == (False, True)
    assert (state.stage_progress(0.7), state.rolls_back) == (0.7, False)


@pytest.mark.parametrize("schedule", [Cosine(), Trapezoid(), Steps()])
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_diverged_loss_is_explained(schedule: Schedule, loss: float) -> None:
    with pytest.raises(Diverged, match=r"set a lower rate than 0\.2"):
        schedule.begin(PEAK).after_epoch(loss)


def test_the_finder_goes_its_own_pace_and_back_where_an_epoch_made_things_worse() -> None:
    state = LrFinderSchedule().begin(PEAK)
    assert state.step_settings(0.0) == StepSettings(rate=0.0025, momentum=0.9)
    better = state.after_epoch(5.0)
    assert (better.rolls_back, better.step_settings(0.0).rate) == (False, 0.005)
    worse = better.after_epoch(math.nan)
    assert worse.rolls_back
    assert worse.step_settings(0.0).rate == pytest.approx(0.00625)


def test_the_finder_changes_the_stage_to_tune_and_is_over_after_it() -> None:
    state = LrFinderSchedule(
        LrFinder(halvings=0, patience=1, momenta=(0.9,), descents=(0.1,), tune_epochs=2)
    ).begin(PEAK)
    places = []
    for _ in range(20):
        if state.is_over(0.0):
            break
        places.append(state.stage_progress(0.0))
        state = state.after_epoch(1.0 if len(places) == 1 else 2.0)
    assert places[-3:] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_resumes_as_it_was(schedule: Schedule) -> None:
    state = schedule.begin(PEAK).after_epoch(3.0).after_epoch(2.0)
    saved = json.loads(json.dumps(state.to_dict()))
    assert schedule.resume(PEAK, saved) == state
