import platform
import subprocess
import sys
from pathlib import Path

import pytest

from service.process.limits import usable_cores
from tests.running import PATIENCE_S, ROOT


def write_groups(root: Path, files: dict[str, str]) -> Path:
    """A file system of control groups below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


ALL = usable_cores(Path("/nonexistent"))
V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({f"{V2}/cpu.max": "50000 100000"}, 1),
        ({f"{V2}/cpu.max": "250000 100000"}, 3),
        ({f"{V2}/cpu.max": "max 100000"}, ALL),
        ({f"{V2}/cpu.max": "nonsense"}, ALL),
        ({f"{V1}/cpu.cfs_quota_us": "150000", f"{V1}/cpu.cfs_period_us": "100000"}, 2),
        ({f"{V1}/cpu.cfs_quota_us": "-1", f"{V1}/cpu.cfs_period_us": "100000"}, ALL),
    ],
)
@pytest.mark.parametrize("place", ["/", "/system.slice/blitz.service"])
def test_the_quota_of_a_container_bounds_the_cores(
    tmp_path: Path, files: dict[str, str], most: int, place: str
) -> None:
    groups = {"proc/self/cgroup": f"5:cpu,cpuacct:{place}\n3:memory:/other\n0::{place}\n"}
    assert usable_cores(write_groups(tmp_path, groups | files)) == min(most, ALL)


def test_the_smallest_quota_of_all_groups_above_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(64)))
    files = {
        "proc/self/cgroup": "0::/system.slice/blitz.service\n",
        f"{V2}/system.slice/cpu.max": "300000 100000",
        f"{V2}/system.slice/blitz.service/cpu.max": "900000 100000",
    }
    assert usable_cores(write_groups(tmp_path, files)) == 3


def test_a_controller_without_a_folder_of_both_names_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(64)))
    files = {
        "proc/self/cgroup": "2:cpu,cpuacct:/docker/1f\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    assert usable_cores(write_groups(tmp_path, files)) == 4


KEEP_AFTER_BUSY = """
import re
from pathlib import Path
from service.process.limits import return_freed_memory

def resident_mb():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1e3

return_freed_memory()
bytes(20_000_000)  # glibc no longer gives pages of their own to blocks up to this size
before, kept, bodies = resident_mb(), [], []
for number in range(40):
    bodies.append(b"b" * 4_000_000)
    kept.append(b"k" * 5_000)  # lives on, behind the body
del bodies
print(resident_mb() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps large blocks that were freed")
def test_memory_of_bodies_returns_to_the_system_though_small_blocks_live_on() -> None:
    command = [sys.executable, "-c", KEEP_AFTER_BUSY]
    kept_mb = float(
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE_S).stdout
    )
    assert kept_mb < 20  # 160 without it
