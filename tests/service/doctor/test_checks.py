from dataclasses import replace
from typing import Any

import orjson
import pytest

from service.doctor.benchmark import Benchmark
from service.doctor.checks import Finding, examine, is_fit
from service.doctor.hardware import Hardware, RuntimeFound
from service.doctor.tables import findings_to_json
from service.settings import Settings

ONNX = RuntimeFound("onnxruntime", "1.31.1", ("CPUExecutionProvider",))
LITERT = RuntimeFound("ai-edge-litert", "2.3.0")
OLD = RuntimeFound("tflite-runtime", "2.14.0")
BENCHMARK = Benchmark("toy", "onnx", "fp32", True, 9.7, 17.4, in_effect=("CPUExecutionProvider",))
SETTINGS = Settings(workers=1, slots=2, threads=1)


def missing(found: RuntimeFound) -> RuntimeFound:
    return RuntimeFound(found.package, fault="No module named it")


HARDWARE = Hardware(
    system="Linux",
    architecture="x86_64",
    processor="CPU",
    features=("AVX2", "AVX512-VNNI"),
    cores=2,
    usable=2,
    memory_mb=4096,
    devices=(),
    runtimes=(ONNX, LITERT, missing(OLD)),
)


def look(
    hardware: Hardware = HARDWARE,
    settings: Settings = SETTINGS,
    benchmarks: tuple[Benchmark, ...] = (BENCHMARK,),
) -> tuple[Finding, ...]:
    return examine(hardware, settings, benchmarks)


def find(findings: tuple[Finding, ...], subject: str) -> Finding:
    (found,) = [each for each in findings if each.subject == subject]
    return found


def test_a_healthy_board_has_nothing_to_mend() -> None:
    findings = look()
    assert {each.state for each in findings} == {"ok"}
    assert not any(each.advice for each in findings)
    assert is_fit(findings)
    assert find(findings, "toy onnx fp32").found == (
        "17.4 ms on a slot's threads, 9.7 ms alone (CPUExecutionProvider), serves"
    )


@pytest.mark.parametrize(
    ("changes", "subject", "state", "advice"),
    [
        ({"features": ("FMA",)}, "features", "warning", "AVX2"),
        ({"features": ("AVX2",)}, "features", "note", "VNNI"),
        ({"features": ("NEON",), "architecture": "aarch64"}, "features", "note", "dot product"),
        ({"features": ()}, "features", "note", "cannot be read"),
        ({"cores": 8}, "cores", "note", "quota"),
        ({"memory_mb": 512}, "memory", "warning", "BLITZ_SLOTS=1"),
        ({"devices": ("NVIDIA GPU",)}, "device", "note", "onnxruntime-gpu"),
        ({"devices": ("Coral EdgeTPU",)}, "device", "note", "BLITZ_DELEGATES"),
        ({"runtimes": (ONNX, missing(LITERT), missing(OLD))}, "ai-edge-litert", "note", "pip install"),
        ({"runtimes": (ONNX, missing(LITERT), missing(OLD))}, "tflite-runtime", "note", "numpy<2"),
        ({"runtimes": (missing(ONNX), LITERT, missing(OLD))}, "onnxruntime", "note", "pip install"),
        ({"runtimes": (ONNX, missing(LITERT), OLD)}, "tflite-runtime", "warning", "twenty times slower"),
        ({"usable": 1}, "workers x slots x threads", "warning", "more threads than the 1 cores"),
        ({"usable": 4, "cores": 4}, "workers x slots x threads", "note", "2 of 4"),
    ],
)
def test_what_is_in_the_way_is_told_with_what_to_do(
    changes: dict[str, Any], subject: str, state: str, advice: str
) -> None:
    findings = look(replace(HARDWARE, **changes))
    found = find(findings, subject)
    assert found.state == state
    assert advice in found.advice
    assert is_fit(findings)


def test_an_accelerator_whose_provider_is_there_needs_no_advice() -> None:
    cuda = replace(ONNX, providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
    hardware = replace(HARDWARE, devices=("NVIDIA GPU",), runtimes=(cuda, LITERT, missing(OLD)))
    assert find(look(hardware), "device").state == "ok"


@pytest.mark.parametrize(
    ("runtime", "runtimes", "fit"),
    [
        ("auto", (missing(ONNX), missing(LITERT), missing(OLD)), False),
        ("auto", (missing(ONNX), missing(LITERT), OLD), True),
        ("onnx", (missing(ONNX), LITERT, missing(OLD)), False),
        ("tflite", (ONNX, missing(LITERT), missing(OLD)), False),
        ("tflite", (ONNX, missing(LITERT), OLD), True),
    ],
)
def test_a_board_without_the_runtime_that_is_asked_for_is_not_fit(
    runtime: Any, runtimes: tuple[RuntimeFound, ...], fit: bool
) -> None:
    settings = SETTINGS.model_copy(update={"runtime": runtime})
    assert is_fit(look(replace(HARDWARE, runtimes=runtimes), settings)) == fit


@pytest.mark.parametrize(
    ("benchmark", "state"),
    [
        (replace(BENCHMARK, fault="no provider cuda"), "fault"),
        (replace(BENCHMARK, fault="cut", serves=False), "warning"),
        (Benchmark("toy", "", "", fault="card.json: ..."), "fault"),
    ],
)
def test_a_file_that_does_not_run_keeps_the_board_from_serving_if_it_is_the_one_that_serves(
    benchmark: Benchmark, state: str
) -> None:
    findings = look(benchmarks=(benchmark,))
    (found,) = [each for each in findings if each.area == "models"]
    assert (found.state, found.advice) == (state, benchmark.fault)
    assert is_fit(findings) == (state != "fault")


def test_without_models_the_board_is_not_fit() -> None:
    findings = look(benchmarks=())
    assert find(findings, "models folder").state == "fault"
    assert not is_fit(findings)


def test_int8_on_the_old_runtime_is_warned_of_on_x86_alone() -> None:
    benchmark = replace(BENCHMARK, runtime="tflite", precision="int8")
    hardware = replace(HARDWARE, runtimes=(ONNX, missing(LITERT), OLD))
    assert find(look(hardware, benchmarks=(benchmark,)), "toy tflite int8").state == "warning"
    arm = replace(hardware, architecture="aarch64")
    assert find(look(arm, benchmarks=(benchmark,)), "toy tflite int8").state == "ok"
    assert find(look(arm), "tflite-runtime").state == "ok"


def test_what_was_asked_for_in_vain_is_told() -> None:
    asked = ("CUDAExecutionProvider", "CPUExecutionProvider")
    found = find(look(benchmarks=(replace(BENCHMARK, asked=asked),)), "toy onnx fp32")
    assert (found.state, "without CUDAExecutionProvider" in found.advice) == ("warning", True)
    found = find(look(benchmarks=(replace(BENCHMARK, asked=asked, in_effect=asked[:1]),)), "toy onnx fp32")
    assert found.state == "ok"


@pytest.mark.parametrize(
    ("serves", "alone_ms", "state"), [(True, 20.0, "ok"), (True, 22.0, "note"), (False, 22.0, "ok")]
)
def test_threads_that_cost_more_than_they_bring_are_told(serves: bool, alone_ms: float, state: str) -> None:
    benchmark = replace(BENCHMARK, serves=serves, alone_ms=alone_ms)
    found = find(look(benchmarks=(benchmark,)), "toy onnx fp32")
    assert found.state == state
    assert ("BLITZ_THREADS_ALONE=1" in found.advice) == (state == "note")


def test_programs_get_every_field() -> None:
    findings = look()
    content = orjson.loads(findings_to_json(findings))
    assert len(content) == len(findings)
    assert content[0] == {
        "area": "machine",
        "subject": "system",
        "state": "ok",
        "found": "Linux",
        "advice": "",
    }
