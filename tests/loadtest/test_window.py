import asyncio
import time

from loadtest.window import Window


def test_a_window_closes_after_its_requests() -> None:
    window = Window(60, requests=2, stop=asyncio.Event())
    assert [window.take() for _ in range(4)] == [True, True, False, False]
    assert window.sent == 2


def test_a_window_closes_after_its_time() -> None:
    window = Window(0.01, stop=asyncio.Event())
    assert window.take()
    time.sleep(0.02)
    assert not window.take()


def test_what_is_spent_is_of_the_time_or_of_the_requests_whichever_ends_sooner() -> None:
    window = Window(1e9, requests=4, stop=asyncio.Event())
    window.take()
    assert window.spent == 0.25
    assert 0 <= Window(1e9, stop=asyncio.Event()).spent < 0.5
    assert Window(0, stop=asyncio.Event()).spent == 1


def test_a_stop_closes_a_window_at_once() -> None:
    stop = asyncio.Event()
    window = Window(60, stop=stop)
    stop.set()
    assert not window.take()


def test_a_window_is_open_before_it_counts() -> None:
    window = Window(0.01, lead=0.05, stop=asyncio.Event())
    assert window.opened > time.perf_counter()
    assert window.take()
    time.sleep(0.07)
    assert not window.take()
