"""The service tells nobody about itself, and writes no file that nobody asked for."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.running import ROOT

ISOLATED = ("unshare", "--map-root-user", "--net")
CALLS = "trace=connect,sendto,sendmsg,sendmmsg,openat,open,creat,mkdir,mkdirat"
ADDRESS = re.compile(r"sa_family=(AF_INET6?), .*(?:inet_addr\(|AF_INET6, )\"([^\"]+)\"")
WRITING = re.compile(
    r"\b(?:open|openat|creat|mkdir|mkdirat)\(.*?\"([^\"]*)\".*(?:O_WRONLY|O_RDWR|O_CREAT|0[0-7]{3}\))"
)
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
OF_THE_SYSTEM = ("/dev/", "/proc/")


@dataclass(frozen=True, slots=True)
class OfflineRun:
    """A service that answered and stopped without a network.

    written: the files in its home folder and in its folder for temporary files.
    calls: lines of strace, one for a system call; None where there is no strace.
    """

    written: list[Path]
    calls: list[str] | None


@pytest.fixture(scope="module")
def offline(models_dir: Path, rose: bytes, tmp_path_factory: pytest.TempPathFactory) -> OfflineRun:
    if not runs(*ISOLATED, "true"):
        pytest.skip("no network namespace can be made here: unshare is missing or not allowed")
    folder, own = tmp_path_factory.mktemp("offline"), tmp_path_factory.mktemp("own")
    picture, trace = folder / "rose.png", folder / "trace"
    picture.write_bytes(rose)
    strace = ["strace", "-f", "-qq", "-s", "256", "-e", CALLS, "-o", str(trace)]
    under = strace if runs("strace", "-qq", "-o", "/dev/null", "true") else []
    own_folders = {"HOME": str(own), "TMPDIR": str(own), "PYTHONDONTWRITEBYTECODE": "1"}
    settings = {"BLITZ_MODELS_DIR": str(models_dir), "BLITZ_STOP_DELAY_S": "0"}
    command = [*ISOLATED, sys.executable, "-m", "tests.e2e.serving.offline", str(picture), *under]
    subprocess.run(command, cwd=ROOT, env=quiet_environment() | own_folders | settings, check=True)
    return OfflineRun(list(own.rglob("*")), trace.read_text().splitlines() if under else None)


def runs(*command: str) -> bool:
    """Whether that command is there and allowed."""
    return shutil.which(command[0]) is not None and subprocess.run(command, check=False).returncode == 0


def quiet_environment() -> dict[str, str]:
    """The environment without variables that change the service or switch telemetry off."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BLITZ_", "XDG_")) and name != "ORT_DISABLE_TELEMETRY"
    }


def test_nothing_is_written_into_the_home_or_temporary_folder(offline: OfflineRun) -> None:
    assert offline.written == []


def test_no_file_is_opened_to_write_or_made(offline: OfflineRun) -> None:
    files = {found[1] for call in traced(offline) if (found := WRITING.search(call))}
    assert {file for file in files if not file.startswith(OF_THE_SYSTEM)} == set()


def test_nothing_is_sent_beyond_loopback(offline: OfflineRun) -> None:
    hosts = {found[2] for call in traced(offline) if (found := ADDRESS.search(call))}
    assert hosts <= set(LOOPBACK)


def traced(offline: OfflineRun) -> list[str]:
    if offline.calls is None:
        pytest.skip("strace is missing or not allowed here")
    assert any("openat(" in call for call in offline.calls)
    return offline.calls


@pytest.mark.parametrize(
    "entry",
    [
        "import service.__main__",
        "import training",
        "import loadtest",
        "from service.inference.backends.onnx import import_onnxruntime; import_onnxruntime()",
    ],
)
def test_every_entry_turns_the_telemetry_of_onnx_runtime_off(entry: str) -> None:
    script = f"{entry}; import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=quiet_environment(), stdout=subprocess.PIPE, check=True
    )
    assert done.stdout == b"1\n"
