"""Clients that send requests to a running server without a pause, and the answers that they receive."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx

from tests.fakes import encode_picture
from tests.running import PATIENCE_S, RunningServer

CLIENTS = 3
PNG = {"content-type": "image/png"}
PICTURE = encode_picture()


def wait_for(condition: Callable[[], bool]) -> None:
    """Returns when the condition holds; fails when that takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextlib.contextmanager
def under_load(server: RunningServer) -> Iterator[Counter[str]]:
    """The answers that the clients received: statuses, models (`toy 1`), and the names of errors."""
    answers, over = Counter[str](), threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            answers.update(_ask(server))

    threads = [threading.Thread(target=keep_asking) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _ask(server: RunningServer) -> list[str]:
    """One request over a connection of its own; without `verify` nobody reads certificates for it."""
    url = f"http://127.0.0.1:{server.http_port}/v1/segment"
    try:
        answer = httpx.post(url, content=PICTURE, headers=PNG, timeout=PATIENCE_S, verify=False)
    except httpx.HTTPError as error:
        return [type(error).__name__]
    if answer.status_code != 200:
        return [str(answer.status_code)]
    content = answer.json()
    return ["200", f"{content['model']} {content['version']}"]
