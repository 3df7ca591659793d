"""ONNX Runtime, TFLite, OpenVINO and NCNN behind one Protocol, and the choice of a model's file.

A runtime may be added or changed here without a look at decoding, masks or transports.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from service.errors import BackendUnavailable, InvalidCard
from service.inference.backends.base import FILES, Backend, BackendChoice, RuntimeName
from service.inference.backends.batching import BatchingBackend
from service.inference.backends.ncnn import import_ncnn, open_ncnn
from service.inference.backends.onnx import find_devices, import_onnxruntime, open_onnx
from service.inference.backends.openvino import find_openvino_devices, import_openvino, open_openvino
from service.inference.backends.tflite import import_tflite, open_tflite
from service.inference.card import ArtifactFile, Card, Folder, read_artifact
from service.inference.families import shape_fits
from service.types import Precision

__all__ = ["Backend", "BackendChoice", "choose_file", "list_rivals", "open_backend"]


class _Open(Protocol):
    def __call__(
        self, model: bytes, card: Card, *, precision: Precision, choice: BackendChoice
    ) -> Backend: ...


@dataclass(frozen=True, slots=True)
class _Runtime:
    """A runtime: its module, the devices asked for that it has besides the CPU, and its backend."""

    import_module: Callable[[], Any]
    find_devices: Callable[[Any, BackendChoice], Collection[str]]
    open: _Open


_RUNTIMES: Mapping[RuntimeName, _Runtime] = {
    "onnx": _Runtime(import_onnxruntime, find_devices, open_onnx),
    "tflite": _Runtime(import_tflite, lambda module, choice: choice.delegates, open_tflite),
    "openvino": _Runtime(import_openvino, find_openvino_devices, open_openvino),
    "ncnn": _Runtime(import_ncnn, lambda module, choice: (), open_ncnn),
}
_GAINING = frozenset(  # providers whose devices compute a batch faster than its images one by one
    f"{name}ExecutionProvider" for name in ("CUDA", "Tensorrt", "NvTensorRTRTX", "MIGraphX", "ROCM", "Dml")
)
_ON_CPU = frozenset({"CPU", "CPUExecutionProvider"})
_PREFERENCE: tuple[Precision, ...] = ("fp32", "fp16", "int8")
_SLOW_AT_INT8 = frozenset({"tflite_runtime.interpreter"})  # 172 ms a frame where ai-edge-litert takes 8
ALLOWED_LOSS = 0.009  # of AP against fp32: what INT8 costs at most in the paper's table 2


def open_backend(folder: Folder, card: Card, choice: BackendChoice) -> Backend:
    """The file of `card` that fits `choice`, opened and run once, batched where its device gains from that.

    Raises BackendUnavailable when the runtime, provider or delegate is not available, InvalidCard when the
    file is not the one the card describes.
    """
    file = choose_file(card, choice)
    backend = _open_file(folder, card, file, choice)
    if _ON_CPU.issuperset(backend.describe().in_effect):  # even where a device was asked for
        runtime = _name_runtime(file, choice)
        fastest = choose_file(card, replace(choice, runtime=runtime, providers=(), delegates=()))
        if fastest != file:
            backend.close()
            backend = _open_file(folder, card, fastest, choice)
    _check_heads(backend, card)
    lists = any(None in shape for shape in card.outputs.values())  # of lengths that do not make one batch
    if choice.batch == 1 or lists or not _GAINING.intersection(backend.describe().in_effect[:1]):
        return backend
    backend.run(np.zeros((choice.batch, card.canvas.height, card.canvas.width, 3), np.uint8))
    return BatchingBackend(backend, size=choice.batch, wait_s=choice.batch_wait_ms / 1000)


def choose_file(card: Card, choice: BackendChoice) -> ArtifactFile:
    """The file of the card that fits the choice, for the first runtime that can be imported.

    With precision "auto" it is the file that is fastest on a CPU by the card's figures and about as accurate
    as fp32. Without such figures, and on any other device, the order is fp32, fp16, int8.
    Raises BackendUnavailable.
    """
    reasons = []
    fitting = [file for file in sorted(card.files, key=_rank) if _fits(file, choice)]
    for file in fitting:
        runtime = _RUNTIMES[_name_runtime(file, choice)]
        try:
            module = runtime.import_module()
        except BackendUnavailable as error:
            reasons.append(str(error))
        else:
            elsewhere = runtime.find_devices(module, choice)
            if choice.precision != "auto" or elsewhere or module.__name__ in _SLOW_AT_INT8:
                return file
            return _find_fastest(card, [each for each in fitting if each.runtime == file.runtime])
    if reasons:
        raise BackendUnavailable("; ".join(dict.fromkeys(reasons)))
    offered = ", ".join(f"{file.runtime} {file.precision}" for file in card.files)
    raise BackendUnavailable(
        f"{card.name} {card.version} has no file for runtime {choice.runtime} and precision "
        f"{choice.precision}{_reason(choice)}; it has {offered}"
    )


def list_rivals(card: Card, choice: BackendChoice) -> list[ArtifactFile]:
    """The files of all runtimes among which only time decides: about as accurate as fp32, and for a CPU.

    Empty where the choice leaves nothing open, or the card has no figures. OpenVINO is not timed.
    """
    if choice.precision != "auto" or choice.providers or choice.delegates or choice.runtime == "openvino":
        return []
    fitting = [file for file in sorted(card.files, key=_rank) if _fits(file, choice)]
    usable = [file for file in fitting if _is_usable_on_cpu(file)]
    standard = _read_ap(card, fitting[0]) if fitting else None
    if standard is None:
        return []
    return [file for file in usable if (_read_ap(card, file) or 0) >= standard - ALLOWED_LOSS]


def _is_usable_on_cpu(file: ArtifactFile) -> bool:
    try:
        module = _RUNTIMES[file.runtime].import_module()
    except BackendUnavailable:
        return False
    return not (file.precision == "int8" and module.__name__ in _SLOW_AT_INT8)


def _open_file(folder: Folder, card: Card, file: ArtifactFile, choice: BackendChoice) -> Backend:
    model = read_artifact(folder, file)
    precision = "bf16" if choice.precision == "bf16" else file.precision
    open_graph: _Open = _RUNTIMES[_name_runtime(file, choice)].open
    if file.weights is not None:
        open_graph = partial(open_ncnn, weights=read_artifact(folder, file.weights))
    return open_graph(model, card, precision=precision, choice=choice)


def _name_runtime(file: ArtifactFile, choice: BackendChoice) -> RuntimeName:
    """The runtime that opens the file: the one that is asked for, else that of the same name as its kind."""
    return file.runtime if choice.runtime == "auto" else choice.runtime


def _rank(file: ArtifactFile) -> int:
    return _PREFERENCE.index(file.precision)


def _find_fastest(card: Card, files: Sequence[ArtifactFile]) -> ArtifactFile:
    """The fastest file that loses at most ALLOWED_LOSS of AP against the first; the first without figures."""
    first = files[0]
    standard = _read_ap(card, first)
    if standard is None or first.latency is None:
        return first
    good = [file for file in files if (_read_ap(card, file) or 0) >= standard - ALLOWED_LOSS]
    return min(good, key=_read_milliseconds)


def _read_milliseconds(file: ArtifactFile) -> float:
    return math.inf if file.latency is None else file.latency.milliseconds


def _read_ap(card: Card, file: ArtifactFile) -> float | None:
    """The AP of masks, or of boxes for a model without masks."""
    if file.accuracy is None:
        return None
    return file.accuracy.mask_ap if card.decoder.has_masks else file.accuracy.box_ap


def _fits(file: ArtifactFile, choice: BackendChoice) -> bool:
    return (
        (choice.runtime == "auto" or FILES[choice.runtime] == file.runtime)
        and choice.precision in ("auto", file.precision, "bf16" if file.precision == "fp32" else "auto")
        and not (choice.providers and file.runtime != "onnx")
        and not (choice.delegates and file.runtime != "tflite")
    )


def _reason(choice: BackendChoice) -> str:
    asked = choice.providers + choice.delegates
    return f" with {', '.join(asked)}" if asked else ""


def _check_heads(backend: Backend, card: Card) -> None:
    """Raises InvalidCard when the heads of one picture do not have the card's shapes."""
    heads = backend.run(np.zeros((1, card.canvas.height, card.canvas.width, 3), np.uint8))
    found = {name: head.shape for name, head in heads.items()}
    expected = {name: (1, *shape) for name, shape in card.outputs.items()}
    if not all(shape_fits(found[name], shape) for name, shape in expected.items()):
        raise InvalidCard(f"{card.name} {card.version}: the graph gives {found}, its card says {expected}")
