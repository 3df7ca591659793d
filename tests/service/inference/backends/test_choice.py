import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from service.errors import BackendUnavailable, InvalidCard, InvalidSetting
from service.inference.backends import BackendChoice, choose_file, open_backend
from service.inference.backends.base import check_graph, split_options
from service.inference.card import Accuracy, Card, Latency, read_card


@pytest.fixture
def card(toy_folder: Path) -> Card:
    return read_card(toy_folder)


@pytest.mark.parametrize(
    ("choice", "path"),
    [
        (BackendChoice(), "fp32.onnx"),
        (BackendChoice(runtime="tflite"), "fp32.tflite"),
        (BackendChoice(precision="int8"), "int8.tflite"),
        (BackendChoice(runtime="onnx", precision="fp32"), "fp32.onnx"),
        (BackendChoice(delegates=("some.so",)), "fp32.tflite"),
        (BackendChoice(providers=("cpu",)), "fp32.onnx"),
    ],
)
def test_the_first_file_that_fits_is_chosen(card: Card, choice: BackendChoice, path: str) -> None:
    assert choose_file(card, choice).path == path


def test_full_precision_goes_before_the_order_of_the_card(card: Card) -> None:
    backwards = card.model_copy(update={"files": card.files[::-1]})
    assert choose_file(backwards, BackendChoice()).path == "fp32.tflite"


def judged(card: Card, figures: Mapping[str, tuple[float, float]]) -> Card:
    """The card with a mask AP and milliseconds for some of its files, by path; their box AP is 0.5."""
    files = []
    for file in card.files:
        ap, milliseconds = figures.get(file.path, (None, None))
        if ap is not None and milliseconds is not None:
            accuracy = Accuracy(data="-", command="-", mask_ap=ap, mask_ap50=ap, box_ap=0.5, images=1)
            latency = Latency(hardware="-", threads=1, milliseconds=milliseconds)
            file = file.model_copy(update={"accuracy": accuracy, "latency": latency})
        files.append(file)
    return card.model_copy(update={"files": tuple(files)})


@pytest.mark.parametrize(
    ("figures", "path"),
    [
        pytest.param({"fp32.tflite": (0.3, 20), "int8.tflite": (0.292, 8)}, "int8.tflite", id="fast enough"),
        pytest.param({"fp32.tflite": (0.3, 20), "int8.tflite": (0.290, 8)}, "fp32.tflite", id="loses much"),
        pytest.param({"fp32.tflite": (0.3, 20), "int8.tflite": (0.3, 25)}, "fp32.tflite", id="slower"),
        pytest.param({"fp32.tflite": (0.3, 20)}, "fp32.tflite", id="not judged"),
        pytest.param({"int8.tflite": (0.3, 8)}, "fp32.tflite", id="nothing to compare with"),
    ],
)
def test_a_free_precision_is_the_fastest_that_is_good_enough(
    card: Card, figures: Mapping[str, tuple[float, float]], path: str
) -> None:
    known = judged(card, figures)
    assert choose_file(known, BackendChoice(runtime="tflite")).path == path
    assert choose_file(known, BackendChoice(runtime="tflite", precision="fp32")).path == "fp32.tflite"
    assert choose_file(known, BackendChoice(runtime="tflite", delegates=("a.so",))).path == "fp32.tflite"


@pytest.mark.parametrize(
    ("choice", "path"),
    [
        pytest.param(BackendChoice(providers=("cpu",)), "int8.onnx", id="the CPU itself"),
        pytest.param(BackendChoice(providers=("quantum", "cpu")), "int8.onnx", id="what is not there"),
        pytest.param(BackendChoice(providers=("azure",)), "fp32.onnx", id="another device"),
    ],
)
def test_what_is_asked_for_decides_a_free_precision_only_where_it_is_no_cpu(
    card: Card, choice: BackendChoice, path: str
) -> None:
    full, *others = card.files
    quick = full.model_copy(update={"path": "int8.onnx", "precision": "int8"})
    both = card.model_copy(update={"files": (full, quick, *others)})
    known = judged(both, {"fp32.onnx": (0.3, 20), "int8.onnx": (0.3, 8)})
    assert choose_file(known, choice).path == path


def test_where_a_delegate_is_missing_the_cpu_gets_what_suits_it(toy_folder: Path, card: Card) -> None:
    known = judged(card, {"fp32.tflite": (0.3, 20), "int8.tflite": (0.3, 8)})
    info = open_backend(
        toy_folder, known, BackendChoice(delegates=("libmissing.so",), fallback="prefer")
    ).describe()
    assert (info.precision, info.asked, info.in_effect) == ("int8", ("libmissing.so",), ("CPU",))


def test_a_free_precision_leaves_the_runtime_alone(card: Card) -> None:
    known = judged(card, {"fp32.onnx": (0.3, 20), "fp32.tflite": (0.3, 20), "int8.tflite": (0.3, 8)})
    assert choose_file(known, BackendChoice()).path == "fp32.onnx"


def test_a_model_of_boxes_is_judged_by_boxes(card: Card) -> None:
    known = judged(card, {"fp32.tflite": (0.3, 20), "int8.tflite": (0.1, 8)})
    boxes = known.model_copy(update={"decoder": known.decoder.model_copy(update={"coefficients": 0})})
    assert choose_file(boxes, BackendChoice(runtime="tflite")).path == "int8.tflite"


def test_the_old_runtime_is_not_trusted_with_int8(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    old = ModuleType("tflite_runtime.interpreter")
    monkeypatch.setitem(sys.modules, "tflite_runtime", ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", old)
    known = judged(card, {"fp32.tflite": (0.3, 20), "int8.tflite": (0.3, 8)})
    assert choose_file(known, BackendChoice(runtime="tflite")).path == "fp32.tflite"
    assert choose_file(known, BackendChoice(runtime="tflite", precision="int8")).path == "int8.tflite"


def test_what_the_card_lacks_is_refused_with_what_it_has(card: Card) -> None:
    with pytest.raises(BackendUnavailable, match="onnx fp32, tflite fp32, tflite int8"):
        choose_file(card, BackendChoice(runtime="onnx", precision="int8"))


def test_auto_takes_the_runtime_that_is_installed(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert choose_file(card, BackendChoice()).path == "fp32.tflite"
    with pytest.raises(BackendUnavailable, match="install onnxruntime"):
        choose_file(card, BackendChoice(runtime="onnx"))


def test_without_any_runtime_the_error_names_both(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxruntime", "ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendUnavailable, match=r"onnxruntime.*ai-edge-litert"):
        choose_file(card, BackendChoice())


def test_a_swapped_file_is_refused(toy_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "toy"))
    shutil.copy(folder / "fp32.tflite", folder / "fp32.onnx")
    with pytest.raises(InvalidCard, match="is not the file its card describes"):
        open_backend(folder, read_card(folder), BackendChoice())


@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_bytes_that_are_no_model_are_refused(write_toy: Any, tmp_path: Path, runtime: Any) -> None:
    folder = write_toy(tmp_path / "toy", files={(runtime, "fp32"): b"no model at all"})
    with pytest.raises(InvalidCard, match="cannot load the model"):
        open_backend(folder, read_card(folder), BackendChoice())


@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_heads_of_another_shape_than_the_cards_are_refused(
    toy_folder: Path, card: Card, runtime: Any
) -> None:
    outputs = card.outputs | {"heatmap": (16, 24, 5)}
    with pytest.raises(InvalidCard, match=r"gives .*\(1, 16, 24, 2\).* says .*\(1, 16, 24, 5\)"):
        open_backend(toy_folder, card.model_copy(update={"outputs": outputs}), BackendChoice(runtime=runtime))


@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_a_graph_without_one_of_the_heads_is_refused(toy_folder: Path, card: Card, runtime: Any) -> None:
    outputs = card.outputs | {"prototypes": (16, 24, 5)}
    with pytest.raises(InvalidCard, match=r"no output prototypes, only coefficients, heatmap"):
        open_backend(toy_folder, card.model_copy(update={"outputs": outputs}), BackendChoice(runtime=runtime))


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param([("float32", ["batch", 64, 96, 3])], id="floats"),
        pytest.param([("uint8", ["batch", 3, 64, 96])], id="channels first"),
        pytest.param([("uint8", ["batch", 96, 64, 3])], id="axes swapped"),
        pytest.param([("uint8", [4, 64, 96, 3])], id="a fixed batch"),
        pytest.param([("uint8", [64, 96, 3])], id="no batch"),
        pytest.param([], id="nothing"),
        pytest.param([("uint8", [1, 64, 96, 3])] * 2, id="two pictures"),
    ],
)
def test_a_graph_that_takes_something_else_is_refused(card: Card, inputs: Any) -> None:
    with pytest.raises(InvalidCard, match=r"expected uint8 \[1, 64, 96, 3\]"):
        check_graph(card, inputs=inputs, outputs=card.outputs)


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("cuda", "cuda", {}),
        ("a.so;device=usb;threads=2", "a.so", {"device": "usb", "threads": "2"}),
        ("a.so;url=x=y", "a.so", {"url": "x=y"}),
        ("a.so;flag=", "a.so", {"flag": ""}),
    ],
)
def test_options_are_split_from_the_name(text: str, name: str, options: Mapping[str, str]) -> None:
    assert split_options(text) == (name, options)


@pytest.mark.parametrize("text", ["", ";device=usb", "a.so;", "a.so;=usb", "cpu;flag"])
def test_malformed_options_are_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="NAME;OPTION=VALUE"):
        split_options(text)
    with pytest.raises(InvalidSetting, match="NAME;OPTION=VALUE"):
        BackendChoice(providers=(text,))


@pytest.mark.parametrize(
    "options",
    [
        {"runtime": "tflite", "providers": ("cuda",)},
        {"runtime": "onnx", "delegates": ("a.so",)},
        {"providers": ("cuda",), "delegates": ("a.so",)},
    ],
)
def test_a_choice_that_contradicts_itself_is_refused(options: Any) -> None:
    with pytest.raises(InvalidSetting, match="leave them out"):
        BackendChoice(**options)
