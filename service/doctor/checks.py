"""Findings about this machine: its parts, its faults, and the advice what to install or set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from service.doctor.benchmark import Benchmark
from service.doctor.hardware import Hardware, RuntimeFound
from service.inference.backends.base import PACKAGES, BackendChoice
from service.settings import Settings

State: TypeAlias = Literal["ok", "note", "warning", "fault"]

X86 = ("x86_64", "AMD64")
INT8_FAST = {"AVX512-VNNI", "AVX-VNNI", "AMX-INT8", "NEON dot product", "NEON i8mm"}
LITERT, OLD, OPENVINO, NCNN = "ai-edge-litert", "tflite-runtime", "openvino", "ncnn"
EXTRAS = (OPENVINO, NCNN)  # runtimes that a service has only where they are asked for
REMEDIES = {
    "onnxruntime": "for models of the runtime onnx: pip install onnxruntime",
    LITERT: f"for models of the runtime tflite: pip install {LITERT}",
    OPENVINO: "for Intel processors and GPUs: install the extra openvino",
    NCNN: "for models of the runtime ncnn: install the extra ncnn",
    OLD: f'where {LITERT} has no wheel: pip install {OLD} "numpy<2"',
}
SLOW = "its INT8 is some twenty times slower than its fp32 on x86"
SLOWER = 1.2  # a slowdown with more threads, above measurement noise
DRIVERS = {
    "NVIDIA GPU": ("CUDAExecutionProvider", "onnxruntime-gpu and BLITZ_PROVIDERS=cuda"),
    "NVIDIA Jetson GPU": (
        "CUDAExecutionProvider",
        "NVIDIA's onnxruntime-gpu for Jetson and BLITZ_PROVIDERS=cuda",
    ),
    "AMD GPU": ("MIGraphXExecutionProvider", "onnxruntime-migraphx and BLITZ_PROVIDERS=migraphx"),
    "Coral EdgeTPU": ("", "libedgetpu1-std, a model compiled for it, and BLITZ_DELEGATES=libedgetpu.so.1"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, with advice. A fault: the settings ask for something that does not work."""

    area: str
    subject: str
    state: State
    found: str
    advice: str = ""


def examine(hardware: Hardware, settings: Settings, benchmarks: Sequence[Benchmark]) -> tuple[Finding, ...]:
    """All findings, area by area."""
    return (
        *_examine_machine(hardware),
        *_examine_runtimes(hardware, settings.choice),
        *_examine_settings(hardware, settings),
        *_examine_models(hardware, settings.choice, benchmarks),
    )


def _is_meant(runtime: str, choice: BackendChoice) -> bool:
    """Whether the settings may take this runtime; those of EXTRAS have to be named."""
    return runtime == choice.runtime or (choice.runtime == "auto" and runtime not in EXTRAS)


def _is_missed(package: str, usable: set[str], choice: BackendChoice) -> bool:
    """Whether people want to know that a package is missing: of the two for TFLite, one is enough."""
    if package == OLD:
        return LITERT not in usable
    return package not in EXTRAS or choice.runtime == package


def is_fit(findings: Sequence[Finding]) -> bool:
    """Whether everything that the settings ask for works."""
    return all(finding.state != "fault" for finding in findings)


def _examine_machine(hardware: Hardware) -> Iterator[Finding]:
    yield Finding("machine", "system", "ok", hardware.system)
    yield Finding("machine", "processor", "ok", f"{hardware.processor} ({hardware.architecture})")
    yield _examine_features(hardware)
    cores = f"{hardware.usable} of {hardware.cores}"
    limited = (
        "an affinity or a container's quota forbids the others" if hardware.usable < hardware.cores else ""
    )
    yield Finding("machine", "cores", "note" if limited else "ok", cores, limited)
    if hardware.memory_mb:
        short = "" if hardware.memory_mb >= 1024 else "one slot and one model at a time: BLITZ_SLOTS=1"
        yield Finding("machine", "memory", "warning" if short else "ok", f"{hardware.memory_mb} MB", short)
    for device in hardware.devices:
        provider, means = DRIVERS.get(device, ("", ""))
        used = provider in hardware.find_runtime("onnxruntime").providers
        advice = f"to use it: {means}" if means and not used else ""
        yield Finding("machine", "device", "note" if advice else "ok", device, advice)


def _examine_features(hardware: Hardware) -> Finding:
    features, names = ", ".join(hardware.features) or "none known", set(hardware.features)
    if not hardware.features:
        advice = "its features cannot be read on this system"
    elif hardware.architecture in X86 and "AVX2" not in names:
        return Finding(
            "machine", "features", "warning", features, "without AVX2 every model is several times slower"
        )
    elif not names & INT8_FAST:
        advice = "without VNNI or NEON dot product INT8 gains little: compare the models' times below"
    else:
        return Finding("machine", "features", "ok", features)
    return Finding("machine", "features", "note", features, advice)


def _examine_runtimes(hardware: Hardware, choice: BackendChoice) -> Iterator[Finding]:
    usable = {each.package for each in hardware.runtimes if each.usable}
    for runtime in hardware.runtimes:
        if runtime.usable:
            yield _describe_runtime(hardware, runtime)
        elif _is_missed(runtime.package, usable, choice):
            yield Finding("runtimes", runtime.package, "note", str(runtime.fault), REMEDIES[runtime.package])
    meant = {package for package, name in PACKAGES.items() if _is_meant(name, choice)}
    if not usable & meant:
        advice = f"install {' or '.join(sorted(meant))}"
        yield Finding("runtimes", f"runtime {choice.runtime}", "fault", "none can be imported", advice)


def _describe_runtime(hardware: Hardware, runtime: RuntimeFound) -> Finding:
    offers = ", ".join(each.removesuffix("ExecutionProvider") for each in runtime.providers)
    found = f"{runtime.version} {offers}".strip()
    if runtime.package == OLD and hardware.architecture in X86:
        return Finding("runtimes", OLD, "warning", found, f"{SLOW}: install {LITERT}")
    return Finding("runtimes", runtime.package, "ok", found)


def _examine_settings(hardware: Hardware, settings: Settings) -> Iterator[Finding]:
    threads = settings.workers * settings.slots * settings.threads
    subject, found = (
        "workers x slots x threads",
        f"{settings.workers} x {settings.slots} x {settings.threads}",
    )
    if threads > hardware.usable:
        advice = f"more threads than the {hardware.usable} cores: unset BLITZ_SLOTS and BLITZ_THREADS"
        yield Finding("settings", subject, "warning", found, advice)
    elif threads < hardware.usable:
        advice = f"cores stay idle under load: {hardware.usable - threads} of {hardware.usable}"
        yield Finding("settings", subject, "note", found, advice)
    else:
        yield Finding("settings", subject, "ok", found)


def _examine_models(
    hardware: Hardware, choice: BackendChoice, benchmarks: Sequence[Benchmark]
) -> Iterator[Finding]:
    if not benchmarks:
        yield Finding(
            "models", "models folder", "fault", "no model", "set BLITZ_MODELS_DIR to a folder of models"
        )
    for benchmark in benchmarks:
        subject = f"{benchmark.place} {benchmark.runtime} {benchmark.precision}".strip()
        if benchmark.fault is not None:
            state: State = "fault" if benchmark.serves or not benchmark.runtime else "warning"
            yield Finding("models", subject, state, "does not run", benchmark.fault)
            continue
        found = f"{benchmark.crowded_ms:.1f} ms on a slot's threads, {benchmark.alone_ms:.1f} ms alone"
        found += f" ({', '.join(benchmark.in_effect)}){', serves' if benchmark.serves else ''}"
        state, advice = _judge_benchmark(hardware, choice, benchmark)
        yield Finding("models", subject, state, found, advice)


def _judge_benchmark(hardware: Hardware, choice: BackendChoice, benchmark: Benchmark) -> tuple[State, str]:
    slow_int8 = hardware.architecture in X86 and not hardware.find_runtime(LITERT).usable
    if benchmark.asked and benchmark.asked[0] not in benchmark.in_effect:
        return "warning", f"without {benchmark.asked[0]}: BLITZ_FALLBACK=strict shows the reason"
    if benchmark.runtime == "tflite" and benchmark.precision == "int8" and slow_int8:
        return "warning", f"tflite-runtime: {SLOW}; install {LITERT}"
    if benchmark.serves and benchmark.alone_ms > SLOWER * benchmark.crowded_ms:
        return "note", (
            f"slower on {choice.widest} threads than on {choice.threads}: measure again while nothing else "
            f"runs; if it stays so, set BLITZ_THREADS_ALONE={choice.threads}"
        )
    return "ok", ""
