"""OpenVINO: its choice, devices and precisions; the contract of every backend is in test_runs.

The tests of what is refused run without OpenVINO; the others skip without it.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

from service.errors import BackendUnavailable, InvalidCard, InvalidSetting
from service.inference.backends import Backend, BackendChoice, choose_file, open_backend
from service.inference.backends.openvino import open_openvino
from service.inference.card import read_card


def open_toy(folder: Path, **choice: Any) -> Backend:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    return open_backend(folder, read_card(folder), BackendChoice(runtime="openvino", **choice))


class FakeCore:
    """A machine with a processor without bf16, and maybe a GPU."""

    def __init__(self, *devices: str) -> None:
        self.available_devices = ["CPU", *devices]

    def get_property(self, device: str, name: str) -> list[str]:
        return ["FP32", "INT8"]


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> FakeCore:
    """The core of an OpenVINO that can be imported everywhere."""
    core = FakeCore()

    class Module:
        __version__ = "2026.1"

        def Core(self) -> FakeCore:  # noqa: N802  # OpenVINO's name
            return core

    monkeypatch.setitem(sys.modules, "openvino", Module())
    return core


@pytest.mark.parametrize(("precision", "path"), [("fp32", "fp32.onnx"), ("bf16", "fp32.onnx")])
def test_openvino_opens_the_onnx_files_and_computes_bf16_from_fp32(
    core: FakeCore, toy_folder: Path, precision: Any, path: str
) -> None:
    choice = BackendChoice(runtime="openvino", precision=precision)
    assert choose_file(read_card(toy_folder), choice).path == path


def test_openvino_that_is_not_installed_is_refused_with_the_extra(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendUnavailable, match="install the extra `openvino`"):
        choose_file(read_card(toy_folder), BackendChoice(runtime="openvino"))


def test_bf16_is_refused_where_the_processor_would_compute_something_else(
    core: FakeCore, toy_folder: Path
) -> None:
    choice = BackendChoice(runtime="openvino", precision="bf16")
    with pytest.raises(BackendUnavailable, match="CPU does not compute bf16 here"):
        open_openvino(b"", read_card(toy_folder), precision="bf16", choice=choice)


def test_a_device_that_is_not_there_is_refused(core: FakeCore, toy_folder: Path) -> None:
    choice = BackendChoice(runtime="openvino", precision="fp32", providers=("gpu",))
    with pytest.raises(BackendUnavailable, match="no device GPU here, available are CPU"):
        open_openvino(b"", read_card(toy_folder), precision="fp32", choice=choice)


@pytest.mark.parametrize("choice", [{"precision": "bf16"}, {"precision": "bf16", "runtime": "onnx"}])
def test_only_openvino_computes_bf16(choice: Any) -> None:
    with pytest.raises(InvalidSetting, match="only OpenVINO computes bf16"):
        BackendChoice(**choice)


def test_delegates_do_not_belong_to_openvino() -> None:
    with pytest.raises(InvalidSetting, match="delegates belong to TFLite"):
        BackendChoice(runtime="openvino", delegates=("some.so",))


def test_openvino_says_what_computes(toy_folder: Path) -> None:
    info = open_toy(toy_folder, precision="fp32", providers=("cpu",), threads_alone=2).describe()
    assert (info.runtime, info.precision, info.threads) == ("openvino", "fp32", 2)
    assert (info.asked, info.in_effect) == (("cpu",), ("CPU",))


def test_preferring_a_missing_device_falls_back_and_tells(toy_folder: Path) -> None:
    info = open_toy(toy_folder, providers=("npu",), fallback="prefer").describe()
    assert (info.asked, info.in_effect) == (("npu",), ("CPU",))


def test_bytes_that_are_no_model_are_refused(toy_folder: Path) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    with pytest.raises(InvalidCard, match="OpenVINO cannot load the model"):
        open_openvino(b"junk", read_card(toy_folder), precision="fp32", choice=BackendChoice())
