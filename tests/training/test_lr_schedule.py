"""All schedules through the interface that the loop uses, and LRfinder against the paper's own trace."""

import json
import math
from collections.abc import Callable

import pytest

from training.lr_schedule import Cosine, Diverged, LrFinderSchedule, Schedule, Steps, StepSettings, Trapezoid
from training.lrfinder import LrFinder, LrState, Phase

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


def run_until(schedule: LrFinder, state: LrState, loss: Callable[[int], float], phase: Phase) -> LrState:
    for _ in range(10_000):
        if state.phase is phase:
            return state
        state = schedule.advance(state, loss=loss(state.epoch))
    raise AssertionError(f"never reached {phase}")


def falling_but_worse_at(*epochs: int) -> Callable[[int], float]:
    return lambda epoch: 1e6 if epoch in epochs else 100.0 / epoch


def reach_plateau(schedule: LrFinder) -> LrState:
    return run_until(schedule, schedule.start(), falling_but_worse_at(49, 57, 65, 74), Phase.PLATEAU)


def test_the_b0_trace_reaches_the_papers_highest_rate() -> None:
    plateau = reach_plateau(LrFinder())
    assert plateau.rate == pytest.approx(0.1403125, abs=1e-12)
    assert (plateau.epoch, plateau.momentum, plateau.restore) == (75, 0.9, True)


def test_growth_halves_when_the_loss_gets_worse_and_the_rate_is_not_set_back() -> None:
    schedule = LrFinder()
    state = schedule.start()
    loss = falling_but_worse_at(49, 57)
    rates = {}
    for _ in range(60):
        rates[state.epoch] = state.rate
        state = schedule.advance(state, loss=loss(state.epoch))
        assert state.restore == (state.epoch - 1 in (49, 57))
    assert rates[49] == pytest.approx(49 * 0.0025)
    assert rates[50] - rates[49] == pytest.approx(0.00125)
    assert rates[58] - rates[57] == pytest.approx(0.000625)


def test_a_worse_epoch_is_compared_with_the_last_kept_one() -> None:
    schedule = LrFinder()
    state = schedule.advance(schedule.start(), loss=1.0)
    state = schedule.advance(state, loss=9.0)
    assert (state.step, state.restore) == (1, True)
    state = schedule.advance(state, loss=5.0)
    assert (state.step, state.restore) == (2, True)
    assert schedule.advance(state, loss=0.9).restore is False


def test_momentum_then_rate_step_down_each_time_patience_runs_out_and_tuning_ends_it() -> None:
    schedule = LrFinder()
    state = reach_plateau(schedule)
    seen = []
    state = schedule.advance(state, loss=1.0)
    while state.phase is not Phase.DONE:
        seen.append((state.phase, state.momentum, round(state.rate, 9), state.upsample_masks))
        state = schedule.advance(state, loss=1.0)
    steps = [(step, seen.count(step)) for step in dict.fromkeys(seen)]
    assert steps == [
        ((Phase.PLATEAU, 0.9, 0.1403125, False), 5),
        ((Phase.PLATEAU, 0.63, 0.1403125, False), 5),
        ((Phase.PLATEAU, 0.44, 0.1403125, False), 5),
        ((Phase.PLATEAU, 0.3, 0.1403125, False), 5),
        ((Phase.DESCENT, 0.3, 0.01403125, False), 5),
        ((Phase.DESCENT, 0.3, 0.001403125, False), 5),
        ((Phase.DESCENT, 0.3, 0.000140312, False), 5),
        ((Phase.TUNE, 0.9, 0.0001, True), 30),
    ]


def test_a_better_loss_resets_patience() -> None:
    schedule = LrFinder()
    state = reach_plateau(schedule)
    for epoch in range(40):
        state = schedule.advance(state, loss=1.0 / (1 + epoch // 4))
    assert (state.phase, state.momentum) == (Phase.PLATEAU, 0.9)


@pytest.mark.parametrize("explosion", [math.nan, math.inf])
def test_an_explosion_in_the_plateau_restores_the_weights_and_takes_the_next_step(explosion: float) -> None:
    schedule = LrFinder()
    state = schedule.advance(reach_plateau(schedule), loss=1.0)
    exploded = schedule.advance(state, loss=explosion)
    assert (exploded.momentum, exploded.restore, exploded.stale) == (0.63, True, 0)
    assert (exploded.good_loss, exploded.best_loss) == (1.0, 1.0)
    recovered = schedule.advance(exploded, loss=0.9)
    assert (recovered.momentum, recovered.restore, recovered.best_loss) == (0.63, False, 0.9)


def test_an_explosion_while_ascending_counts_as_a_worse_loss() -> None:
    schedule = LrFinder()
    state = schedule.advance(schedule.start(), loss=1.0)
    assert schedule.advance(state, loss=math.nan).step == 1


def test_a_finished_schedule_refuses_to_go_on() -> None:
    with pytest.raises(ValueError, match="done"):
        LrFinder().advance(LrState(Phase.DONE, epoch=9, rate=0.1, momentum=0.9), loss=1.0)
