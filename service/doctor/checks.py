"""Is this board fit to serve? What it has, what is in the way, and what to install or set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from service.doctor.benchmark import Trial
from service.doctor.hardware import Board, RuntimeFound
from service.inference.backends.base import BackendChoice
from service.settings import Settings

State: TypeAlias = Literal["ok", "note", "warning", "fault"]

X86 = ("x86_64", "AMD64")
INT8_FAST = {"AVX512-VNNI", "AVX-VNNI", "AMX-INT8", "NEON dot product", "NEON i8mm"}
LITERT, OLD = "ai-edge-litert", "tflite-runtime"
MEANT = {
    "onnx": {"onnxruntime"},
    "tflite": {LITERT, OLD},
    "auto": {"onnxruntime", LITERT, OLD},
}
REMEDIES = {
    "onnxruntime": "for models of the runtime onnx: pip install onnxruntime",
    LITERT: f"for models of the runtime tflite: pip install {LITERT}",
    OLD: f'where {LITERT} has no wheel: pip install {OLD} "numpy<2"',
}
SLOW = "its INT8 is some twenty times slower than its fp32 on x86"
SLOWER = 1.2  # times that threads may cost before it is no noise
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
    """One thing that was looked at; `advice` is what to do. A fault: what was asked for does not work."""

    area: str
    subject: str
    state: State
    found: str
    advice: str = ""


def examine(board: Board, settings: Settings, trials: Sequence[Trial]) -> tuple[Finding, ...]:
    """All findings, area by area."""
    return (
        *_examine_machine(board),
        *_examine_runtimes(board, settings.choice),
        *_examine_settings(board, settings),
        *_examine_models(board, settings.choice, trials),
    )


def is_fit(findings: Sequence[Finding]) -> bool:
    """Whether all that was asked for works."""
    return all(finding.state != "fault" for finding in findings)


def _examine_machine(board: Board) -> Iterator[Finding]:
    yield Finding("machine", "system", "ok", board.system)
    yield Finding("machine", "processor", "ok", f"{board.processor} ({board.architecture})")
    yield _examine_features(board)
    cores = f"{board.usable} of {board.cores}"
    limited = "an affinity or a container's quota keeps the others away" if board.usable < board.cores else ""
    yield Finding("machine", "cores", "note" if limited else "ok", cores, limited)
    if board.memory_mb:
        short = "" if board.memory_mb >= 1024 else "one slot and one model at a time: BLITZ_SLOTS=1"
        yield Finding("machine", "memory", "warning" if short else "ok", f"{board.memory_mb} MB", short)
    for device in board.devices:
        provider, means = DRIVERS.get(device, ("", ""))
        used = provider in board.find_runtime("onnxruntime").providers
        advice = f"to use it: {means}" if means and not used else ""
        yield Finding("machine", "device", "note" if advice else "ok", device, advice)


def _examine_features(board: Board) -> Finding:
    features, names = ", ".join(board.features) or "none known", set(board.features)
    if not board.features:
        advice = "its features cannot be read on this system"
    elif board.architecture in X86 and "AVX2" not in names:
        return Finding(
            "machine", "features", "warning", features, "without AVX2 every model is several times slower"
        )
    elif not names & INT8_FAST:
        advice = "without VNNI or NEON dot product INT8 gains little: compare the models' times below"
    else:
        return Finding("machine", "features", "ok", features)
    return Finding("machine", "features", "note", features, advice)


def _examine_runtimes(board: Board, choice: BackendChoice) -> Iterator[Finding]:
    usable = {each.package for each in board.runtimes if each.usable}
    for runtime in board.runtimes:
        if runtime.usable:
            yield _describe_runtime(board, runtime)
        elif runtime.package != OLD or LITERT not in usable:  # nobody needs both
            yield Finding("runtimes", runtime.package, "note", str(runtime.fault), REMEDIES[runtime.package])
    if not usable & MEANT[choice.runtime]:
        advice = f"install {' or '.join(sorted(MEANT[choice.runtime]))}"
        yield Finding("runtimes", f"runtime {choice.runtime}", "fault", "none can be imported", advice)


def _describe_runtime(board: Board, runtime: RuntimeFound) -> Finding:
    offers = ", ".join(each.removesuffix("ExecutionProvider") for each in runtime.providers)
    found = f"{runtime.version} {offers}".strip()
    if runtime.package == OLD and board.architecture in X86:
        return Finding("runtimes", OLD, "warning", found, f"{SLOW}: install {LITERT}")
    return Finding("runtimes", runtime.package, "ok", found)


def _examine_settings(board: Board, settings: Settings) -> Iterator[Finding]:
    threads = settings.workers * settings.slots * settings.threads
    subject, found = (
        "workers x slots x threads",
        f"{settings.workers} x {settings.slots} x {settings.threads}",
    )
    if threads > board.usable:
        advice = f"more threads than the {board.usable} cores: unset BLITZ_SLOTS and BLITZ_THREADS"
        yield Finding("settings", subject, "warning", found, advice)
    elif threads < board.usable:
        advice = f"cores stay idle under load: {board.usable - threads} of {board.usable}"
        yield Finding("settings", subject, "note", found, advice)
    else:
        yield Finding("settings", subject, "ok", found)


def _examine_models(board: Board, choice: BackendChoice, trials: Sequence[Trial]) -> Iterator[Finding]:
    if not trials:
        yield Finding(
            "models", "models folder", "fault", "no model", "set BLITZ_MODELS_DIR to a folder of models"
        )
    for trial in trials:
        subject = f"{trial.place} {trial.runtime} {trial.precision}".strip()
        if trial.fault is not None:
            state: State = "fault" if trial.serves or not trial.runtime else "warning"
            yield Finding("models", subject, state, "does not run", trial.fault)
            continue
        found = f"{trial.crowded_ms:.1f} ms on a slot's threads, {trial.alone_ms:.1f} ms alone"
        found += f" ({', '.join(trial.in_effect)}){', serves' if trial.serves else ''}"
        state, advice = _judge_trial(board, choice, trial)
        yield Finding("models", subject, state, found, advice)


def _judge_trial(board: Board, choice: BackendChoice, trial: Trial) -> tuple[State, str]:
    slow_int8 = board.architecture in X86 and not board.find_runtime(LITERT).usable
    if trial.asked and trial.asked[0] not in trial.in_effect:
        return "warning", f"without {trial.asked[0]}: BLITZ_FALLBACK=strict tells what is in the way"
    if trial.runtime == "tflite" and trial.precision == "int8" and slow_int8:
        return "warning", f"tflite-runtime: {SLOW}; install {LITERT}"
    if trial.serves and trial.alone_ms > SLOWER * trial.crowded_ms:
        return "note", (
            f"slower on {choice.widest} threads than on {choice.threads}: look again when nothing else runs "
            f"here, and if that remains set BLITZ_THREADS_ALONE={choice.threads}"
        )
    return "ok", ""
