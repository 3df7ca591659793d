import sys
from pathlib import Path

import onnxruntime
import pytest

from service.doctor.hardware import find_runtime, read_hardware

X86 = """processor\t: 0
model name\t: Some CPU @ 2 GHz
flags\t\t: fpu sse2 avx2 fma avx512f avx512_vnni

processor\t: 1
model name\t: Another
"""
ARM = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 asimdhp asimddp
"""


def write_machine(root: Path, cpuinfo: str, *devices: str) -> Path:
    (root / "proc").mkdir()
    (root / "proc" / "cpuinfo").write_text(cpuinfo)
    (root / "proc" / "meminfo").write_text("MemTotal:        2048000 kB\nMemFree: 1 kB\n")
    (root / "dev").mkdir()
    for device in devices:
        (root / "dev" / device).touch()
    return root


def test_an_x86_machine_is_read(tmp_path: Path) -> None:
    hardware = read_hardware(write_machine(tmp_path, X86, "nvidia0"))
    assert hardware.processor == "Some CPU @ 2 GHz"
    assert hardware.features == ("AVX2", "FMA", "AVX-512", "AVX512-VNNI")
    assert (hardware.memory_mb, hardware.devices) == (2000, ("NVIDIA GPU",))
    assert 1 <= hardware.usable <= hardware.cores


def test_an_arm_board_is_read(tmp_path: Path) -> None:
    hardware = read_hardware(write_machine(tmp_path, ARM, "apex_0"))
    assert hardware.features == ("NEON", "NEON fp16", "NEON dot product")
    assert hardware.devices == ("Coral EdgeTPU",)


def test_a_system_without_proc_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    hardware = read_hardware(tmp_path)
    assert (hardware.features, hardware.memory_mb, hardware.devices) == ((), 0, ())
    assert hardware.processor


def test_a_runtime_is_found_with_its_version_and_providers() -> None:
    found = find_runtime("onnxruntime")
    assert found.usable
    assert found.version == onnxruntime.__version__
    assert "CPUExecutionProvider" in found.providers


@pytest.mark.parametrize("package", ["onnxruntime", "ai-edge-litert"])
def test_a_runtime_that_cannot_be_imported_says_why(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("onnxruntime", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, module, None)
    found = find_runtime(package)
    assert not found.usable
    assert found.version is None
    assert "import of" in str(found.fault)
