"""The machine that a report's figures come from."""

import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

from service.process.limits import usable_cores


@dataclass(frozen=True, slots=True)
class Machine:
    """What a report's reader needs to know of it."""

    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str


def describe_machine() -> Machine:
    """This machine; its cores are those that this process may use."""
    return Machine(
        cpu=_name_cpu(),
        cores=usable_cores(),
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
    )


def _name_cpu() -> str:
    """The processor's name; boards spell it "Model" in /proc/cpuinfo, others "model name"."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("model")]
    return next((name for name in names if not name.isdigit()), platform.machine())
