from service.camera.retry import Retry
from tests.service.camera.conftest import FakeClock


async def test_pauses_double_up_to_a_limit_and_chance_takes_up_to_a_half(clock: FakeClock) -> None:
    reported: list[str] = []
    retry = Retry(clock, reported.append)
    for _ in range(9):
        await retry.wait("it is away")
    for pause, longest in zip(clock.waits, [0.25, 0.5, 1, 2, 4, 5, 5, 5, 5], strict=True):
        assert longest / 2 <= pause <= longest
    assert len(reported) == 9
    assert reported[0].startswith("it is away; trying again in 0.")


async def test_the_pauses_are_short_again_once_something_works(clock: FakeClock) -> None:
    retry = Retry(clock, lambda reason: None)
    for _ in range(5):
        await retry.wait("it is away")
    assert retry.failing
    retry.reset()
    assert not retry.failing
    await retry.wait("it is away")
    assert clock.waits[-1] <= 0.25
