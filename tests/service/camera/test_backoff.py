from service.camera.backoff import Backoff
from tests.service.camera.conftest import FakeClock


def test_delays_double_up_to_a_limit_less_up_to_a_half(clock: FakeClock) -> None:
    backoff = Backoff(clock)
    delays = [backoff.next_delay() for _ in range(9)]
    for delay, longest in zip(delays, [0.25, 0.5, 1, 2, 4, 5, 5, 5, 5], strict=True):
        assert longest / 2 <= delay <= longest


def test_it_begins_anew_once_something_works(clock: FakeClock) -> None:
    backoff = Backoff(clock)
    for _ in range(5):
        backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() <= 0.25


async def test_it_waits_by_the_clock(clock: FakeClock) -> None:
    await Backoff(clock).wait(3.0)
    assert clock.waits == [3.0]
