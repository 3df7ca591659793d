"""The part of the image's build that takes out what no request needs."""

from pathlib import Path

import pytest

from deploy.trim import MODELS, PACKAGES, delete_models, delete_unused, link_cuda, measure_parts
from tests.running import ROOT


def write(folder: Path, *names: str, size: int = 1) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(size))


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_imports_need_stays(tmp_path: Path) -> None:
    needed = {"numpy/_core/_multiarray_umath.so", "onnxruntime/capi/onnxruntime_pybind11_state.so"}
    write(tmp_path, *needed, "numpy/tests/test_it.py", "onnxruntime/tools/a/b.py")
    write(tmp_path, "onnxruntime/capi/libonnxruntime.so.1", "numpy/_core/_simd.cpython.so", "grpc/stubs.pyi")
    delete_unused(tmp_path)
    assert files(tmp_path) == needed


@pytest.mark.parametrize("flavour", sorted(PACKAGES))
def test_an_image_keeps_the_files_that_its_runtime_reads(flavour: str, tmp_path: Path) -> None:
    write(tmp_path, "toy/card.json", "toy/model.fp32.onnx", "toy/model.fp32.tflite")
    delete_models(flavour, tmp_path)
    gone = {"*.tflite": "toy/model.fp32.tflite", "*.onnx": "toy/model.fp32.onnx", "": ""}[MODELS[flavour]]
    assert files(tmp_path) == {"toy/card.json", "toy/model.fp32.onnx", "toy/model.fp32.tflite"} - {gone}


def test_every_flavour_is_named_in_the_dockerfile() -> None:
    text = (ROOT / "Dockerfile").read_text().partition("\nARG BASE")[0]
    assert {line.split()[1] for line in text.splitlines() if line.startswith("#   ")} == set(PACKAGES)


def test_the_libraries_of_cuda_are_found_in_one_folder(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write(site, "nvidia/cu13/lib/libcublas.so.13", "nvidia/cudnn/lib/libcudnn.so.9", size=3)
    link_cuda(tmp_path, site)
    assert {path.name: path.read_bytes() for path in (tmp_path / "cuda").iterdir()} == {
        "libcublas.so.13": bytes(3),
        "libcudnn.so.9": bytes(3),
    }


def test_the_parts_are_listed_by_their_size(tmp_path: Path) -> None:
    write(tmp_path / "site", "small/a", size=1000)
    write(tmp_path / "site", "large/a", "large/b", size=2_000_000)
    write(tmp_path / "models", "toy/a", size=1_500_000)
    parts = list(measure_parts(tmp_path / "site", tmp_path / "models"))
    assert parts == [("large", 4.0), ("models", 1.5), ("others", pytest.approx(0.001))]
