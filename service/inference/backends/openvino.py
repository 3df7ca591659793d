"""OpenVINO: the ONNX files of a model on Intel processors and GPUs, in fp32, INT8, or bf16.

bf16 computes the fp32 file with half the bits, which processors with AMX do faster. Boxes move then, so bf16
has to be asked for. By its own default OpenVINO takes it wherever the processor has it, even for INT8 files.

An inference needs a request of its own, and requests of the same compiled model share its weights. Each slot
has a request on its own stream of threads; one compiled model more, with one stream of many threads, serves
an inference while other slots are free.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import numpy as np

from service.errors import BackendUnavailable, InvalidCard
from service.inference.backends.base import BackendChoice, check_graph, split_options
from service.inference.card import Card
from service.types import BackendInfo, Heads, Pixels, Precision, count_few

_CPU = "CPU"
_HINTS = {"bf16": "bf16", "fp16": "f16"}  # the other precisions compute what is not INT8 in fp32


def import_openvino() -> Any:
    """The runtime's module; raises BackendUnavailable."""
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise BackendUnavailable(
            f"OpenVINO cannot be imported ({error}): install the extra `openvino`, or choose the runtime onnx"
        ) from error


class OpenVinoBackend:
    """Requests for crowded times and for few inferences, taken in turn; their batch is 1."""

    def __init__(
        self, narrow: list[Any], wide: list[Any], *, outputs: tuple[str, ...], infos: tuple[BackendInfo, ...]
    ) -> None:
        """infos: the description of a run alone, and of a crowded one."""
        self._outputs = outputs
        self._infos = infos
        self._count = len(narrow), len(wide)
        self._narrow = _queue_up(narrow)
        self._wide = _queue_up(wide) if wide else self._narrow

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        with _borrow(self._narrow if crowded else self._wide) as request:
            heads = [self._compute(request, pixels[index : index + 1]) for index in range(len(pixels))]
        if len(heads) == 1:
            return heads[0]
        return {name: np.concatenate([each[name] for each in heads]) for name in self._outputs}

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return self._infos[crowded]

    def close(self) -> None:
        for requests, count in zip((self._narrow, self._wide), self._count, strict=True):
            for _ in range(count):
                requests.get()  # waits until its inference has ended

    def _compute(self, request: Any, pixels: Pixels) -> Heads:
        request.infer([pixels], share_inputs=True)
        return {name: np.array(request.get_tensor(name).data, np.float32) for name in self._outputs}


def open_openvino(
    model: bytes, card: Card, *, precision: Precision, choice: BackendChoice
) -> OpenVinoBackend:
    """The requests over the model's bytes; the providers of the choice are OpenVINO's devices, as GPU.

    Raises BackendUnavailable where the choice is strict and this machine lacks a device asked for, and where
    its processor cannot compute bf16; InvalidCard where the bytes are not the graph that the card describes.
    """
    runtime = import_openvino()
    core = runtime.Core()
    devices = _find_devices(core, choice) or [_CPU]
    _check_precision(core, devices[0], precision)
    graph = _read_graph(core, model, card)
    hint = _HINTS.get(precision, "f32") if devices[0] != _CPU or precision == "bf16" else "f32"
    compiled = _compile(core, graph, devices, hint=hint, threads=choice.threads, streams=choice.slots)
    in_effect = tuple(compiled.get_property("EXECUTION_DEVICES"))
    narrow = [compiled.create_infer_request() for _ in range(choice.slots)]
    wide = []
    if in_effect == (_CPU,) and choice.widest > choice.threads:
        alone = _compile(core, graph, devices, hint=hint, threads=choice.widest, streams=1)
        wide = [alone.create_infer_request() for _ in range(count_few(choice.slots))]
    crowded = BackendInfo(
        runtime="openvino",
        runtime_version=runtime.__version__.partition("-")[0],
        precision=precision,
        threads=choice.threads,
        asked=choice.providers,
        in_effect=in_effect,
    )
    infos = replace(crowded, threads=choice.widest if wide else choice.threads), crowded
    return OpenVinoBackend(narrow, wide, outputs=tuple(card.outputs), infos=infos)


def find_openvino_devices(runtime: Any, choice: BackendChoice) -> set[str]:
    """The devices asked for that this machine has, other than the CPU."""
    return set(_find_devices(runtime.Core(), replace(choice, fallback="prefer"))) - {_CPU}


def _find_devices(core: Any, choice: BackendChoice) -> list[str]:
    """The devices asked for that this machine has, the best first; raises BackendUnavailable."""
    available = core.available_devices
    found = []
    for text in choice.providers:
        name = split_options(text)[0].upper()
        if any(device.partition(".")[0] == name.partition(".")[0] for device in available):
            found.append(name)
        elif choice.fallback == "strict":
            raise BackendUnavailable(
                f"OpenVINO has no device {name} here, available are {', '.join(available)}: install the "
                "device's driver, or allow the fallback with `prefer`"
            )
    return found


def _check_precision(core: Any, device: str, precision: Precision) -> None:
    """Raises BackendUnavailable for bf16 on a device that would compute something else instead."""
    if precision == "bf16" and "BF16" not in core.get_property(device, "OPTIMIZATION_CAPABILITIES"):
        raise BackendUnavailable(
            f"OpenVINO's device {device} does not compute bf16 here: choose fp32 or int8"
        )


def _read_graph(core: Any, model: bytes, card: Card) -> Any:
    """The graph for one picture at a time; raises InvalidCard."""
    try:
        graph = core.read_model(model)
        check_graph(
            card,
            inputs=[(_name_type(each), _list_shape(each)) for each in graph.inputs],
            outputs=[name for each in graph.outputs for name in each.get_names()],
        )
        free = card.input.fit == "as_is"
        graph.reshape([1, -1, -1, 3] if free else [1, card.canvas.height, card.canvas.width, 3])
    except RuntimeError as error:
        raise InvalidCard(f"OpenVINO cannot load the model: {error}") from error
    return graph


def _name_type(port: Any) -> str:
    return {"u8": "uint8", "i8": "int8"}.get(port.element_type.get_type_name(), str(port.element_type))


def _list_shape(port: Any) -> list[object]:
    return [each.get_length() if each.is_static else str(each) for each in port.partial_shape]


def _compile(core: Any, graph: Any, devices: list[str], *, hint: str, threads: int, streams: int) -> Any:
    """The graph for `streams` inferences at a time, with so many threads each.

    Raises BackendUnavailable where the device refuses it.
    """
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    if devices == [_CPU]:
        settings |= {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads * streams,
            "ENABLE_CPU_PINNING": False,  # all compute processes would pin their threads to the first core
        }
    try:
        return core.compile_model(graph, devices[0], settings)
    except RuntimeError as error:
        raise BackendUnavailable(f"OpenVINO cannot start {devices[0]}: {error}") from error


def _queue_up(requests: list[Any]) -> "SimpleQueue[Any]":
    idle: SimpleQueue[Any] = SimpleQueue()
    for request in requests:
        idle.put(request)
    return idle


@contextmanager
def _borrow(requests: "SimpleQueue[Any]") -> Iterator[Any]:
    """A request that no other thread uses meanwhile."""
    request = requests.get()
    try:
        yield request
    finally:
        requests.put(request)
