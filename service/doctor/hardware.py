"""The parts of this machine that matter for inference. They are read, never changed."""

import importlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import BackendUnavailable
from service.inference.backends.ncnn import import_ncnn
from service.process.limits import usable_cores

# The features that the kernels of ONNX Runtime and XNNPACK use, by their names in Linux: x86, then ARM.
FEATURES = {
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX512-VNNI",
    "avx512_bf16": "AVX512-BF16",
    "amx_int8": "AMX-INT8",
    "asimd": "NEON",
    "neon": "NEON",
    "asimdhp": "NEON fp16",
    "asimddp": "NEON dot product",
    "i8mm": "NEON i8mm",
    "bf16": "NEON bf16",
    "sve": "SVE",
}
DEVICES = {
    "dev/nvidia0": "NVIDIA GPU",
    "dev/nvhost-gpu": "NVIDIA Jetson GPU",
    "dev/kfd": "AMD GPU",
    "dev/apex_0": "Coral EdgeTPU",
    "dev/dri/renderD128": "GPU",
    "dev/mali0": "ARM Mali GPU",
    "dev/hailo0": "Hailo NPU",
    "dev/rknpu": "Rockchip NPU",
}
PACKAGES = {
    "onnxruntime": "onnxruntime",
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "openvino": "openvino",
    "ncnn": "ncnn",
}


@dataclass(frozen=True, slots=True)
class RuntimeFound:
    """A runtime that can be imported, with the ONNX Runtime providers it brings, or why it cannot."""

    package: str
    version: str | None = None
    providers: tuple[str, ...] = ()
    fault: str | None = None

    @property
    def usable(self) -> bool:
        return self.fault is None


@dataclass(frozen=True, slots=True)
class Hardware:
    """One machine. `cores` counts all cores, `usable` those that affinity and container quota allow."""

    system: str
    architecture: str
    processor: str
    features: tuple[str, ...]
    cores: int
    usable: int
    memory_mb: int
    devices: tuple[str, ...]
    runtimes: tuple[RuntimeFound, ...]

    def find_runtime(self, package: str) -> RuntimeFound:
        """The runtime of one of PACKAGES."""
        return next(each for each in self.runtimes if each.package == package)


def read_hardware(root: Path = Path("/")) -> Hardware:
    """The machine of the file system below `root`, and this process's runtimes."""
    described = _read_pairs(root / "proc/cpuinfo")
    words = (described.get("flags") or described.get("Features") or "").split()
    features = dict.fromkeys(name for word, name in FEATURES.items() if word in words)
    memory = _read_pairs(root / "proc/meminfo").get("MemTotal", "0 kB").split()
    return Hardware(
        system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        architecture=platform.machine(),
        processor=described.get("model name") or platform.processor() or platform.machine(),
        features=tuple(features),
        cores=os.cpu_count() or 1,
        usable=usable_cores(),
        memory_mb=int(memory[0]) // 1024,
        devices=tuple(name for path, name in DEVICES.items() if (root / path).exists()),
        runtimes=tuple(find_runtime(package) for package in PACKAGES),
    )


def find_runtime(package: str) -> RuntimeFound:
    """The runtime of one of PACKAGES, which is imported for that."""
    try:
        # NCNN is set up before it is loaded, so it has to be loaded as for a model.
        module: Any = import_ncnn() if package == "ncnn" else importlib.import_module(PACKAGES[package])
    except (ImportError, BackendUnavailable) as error:
        return RuntimeFound(package, fault=str(error))
    providers = module.get_available_providers() if package == "onnxruntime" else ()
    parent: Any = importlib.import_module(PACKAGES[package].partition(".")[0])
    return RuntimeFound(package, str(parent.__version__), tuple(providers))


def _read_pairs(path: Path) -> dict[str, str]:
    """The first value of every `name: value` line; empty where there is no such file."""
    pairs: dict[str, str] = {}
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return pairs
    for line in lines:
        name, found, value = line.partition(":")
        if found:
            pairs.setdefault(name.strip(), value.strip())
    return pairs
