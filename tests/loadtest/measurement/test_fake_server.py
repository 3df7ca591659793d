import subprocess
import sys

import psutil

from loadtest.generators import open_client
from loadtest.measurement.fake_server import GOOD_JSON, NullServer
from loadtest.types import Photo, Target
from tests.load import wait_for

OWNER = (
    "import multiprocessing; from loadtest.measurement.fake_server import NullServer\n"
    "if __name__ == '__main__':\n"
    "    server = NullServer(b'{}'); print(multiprocessing.active_children()[0].pid, flush=True); input()"
)


async def test_a_null_server_answers_with_the_same_bytes(photo: Photo) -> None:
    server = NullServer(GOOD_JSON)
    client = open_client(server.redirect(Target("rest", "10.0.0.1", 1)))
    try:
        assert [(await client.send(photo)).body for _ in range(2)] == [GOOD_JSON] * 2
    finally:
        await client.close()
        server.close()


def test_a_null_server_ends_when_its_owner_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()
    wait_for(lambda: not is_running(pid))


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
