import json
from pathlib import Path
from typing import Any

import pytest

from service.doctor.benchmark import Benchmark, measure_models
from service.inference.backends import BackendChoice
from service.inference.images import Limits
from service.serving.repository import Source


@pytest.fixture
def models_dir(write_toy: Any, tmp_path: Path) -> Path:
    folder: Path = write_toy(tmp_path / "models" / "toy")
    return folder.parent


def run_benchmarks(models_dir: Path, **choice: Any) -> dict[str, Benchmark]:
    benchmarks = measure_models(Source(models_dir, None, BackendChoice(**choice), Limits()))
    return {f"{each.place} {each.runtime} {each.precision}".strip(): each for each in benchmarks}


def test_every_file_is_timed_alone_and_in_a_crowd_and_the_one_that_serves_is_marked(models_dir: Path) -> None:
    benchmarks = run_benchmarks(models_dir, runtime="tflite", slots=2, threads_alone=2)
    assert {name: each.serves for name, each in benchmarks.items()} == {
        "toy onnx fp32": False,
        "toy tflite fp32": True,
        "toy tflite int8": False,
    }
    for benchmark in benchmarks.values():
        assert benchmark.fault is None
        assert 0 < benchmark.alone_ms < 1000
        assert 0 < benchmark.crowded_ms < 1000
        assert benchmark.in_effect


def test_a_file_that_computes_something_else_is_a_fault_of_its_own(models_dir: Path) -> None:
    path = models_dir / "toy" / "golden.json"
    golden = json.loads(path.read_text())
    golden["tolerance"]["int8"] = 1e-9
    path.write_text(json.dumps(golden))
    benchmarks = run_benchmarks(models_dir)
    assert "is off by" in str(benchmarks["toy tflite int8"].fault)
    assert benchmarks["toy tflite fp32"].fault is None


def test_the_file_that_answers_after_a_fall_back_is_the_one_that_serves(models_dir: Path) -> None:
    path = models_dir / "toy" / "card.json"
    card = json.loads(path.read_text())
    accuracy = {"data": "-", "command": "-", "mask_ap": 0.3, "mask_ap50": 0.3, "box_ap": 0.3, "images": 1}
    for file in card["files"]:
        milliseconds = 8 if file["precision"] == "int8" else 20
        file["accuracy"] = accuracy
        file["latency"] = {"hardware": "-", "threads": 1, "milliseconds": milliseconds}
    path.write_text(json.dumps(card))
    benchmarks = run_benchmarks(models_dir, delegates=("libmissing.so",), fallback="prefer")
    assert [name for name, each in benchmarks.items() if each.serves] == ["toy tflite int8"]
    assert benchmarks["toy tflite int8"].asked == ("libmissing.so",)


def test_a_provider_that_is_not_there_is_a_fault_of_the_file_that_serves(models_dir: Path) -> None:
    benchmarks = run_benchmarks(models_dir, providers=("quantum",))
    assert "no provider quantum" in str(benchmarks["toy onnx fp32"].fault)
    assert benchmarks["toy onnx fp32"].serves
    assert benchmarks["toy tflite fp32"].fault is None


def test_a_folder_with_a_broken_card_is_one_fault(models_dir: Path) -> None:
    (models_dir / "toy" / "card.json").write_text("{")
    (benchmark,) = run_benchmarks(models_dir).values()
    assert "card.json" in str(benchmark.fault)


def test_no_models_are_no_trials(tmp_path: Path) -> None:
    assert run_benchmarks(tmp_path) == {}
