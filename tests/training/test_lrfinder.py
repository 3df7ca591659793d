"""The schedule against the paper's own trace of EfficientNet-Lite B0, and its recoveries."""

import math
from collections.abc import Callable

import pytest

from training.lrfinder import LrFinder, LrState, Phase


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
