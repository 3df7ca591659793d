"""TFLite: an interpreter keeps state, so each slot has one of its own over the same bytes.

One more interpreter, with many threads, serves an inference while other slots are free. XNNPACK packs the
weights for each interpreter (27 MB with the activations, for the default model); its cache of packed weights
is not available from Python.

Delegates are libraries that take operators of a graph off the CPU. In the graph, the part that a delegate
took is one operator DELEGATE beside the operators that it replaces. A runtime adds its own delegate, XNNPACK,
when it allocates the tensors, so the parts must be counted before.
"""

import ctypes
import importlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

import numpy as np

from service.errors import BackendUnavailable, InvalidCard
from service.inference.backends.base import BackendChoice, check_graph, split_options
from service.inference.backends.graph_input import convert_pixels, make_table, quantise_pixels
from service.inference.card import Card, GraphInput
from service.types import BackendInfo, Floats, Heads, Pixels, Precision

_PACKAGES = ("ai_edge_litert", "tflite_runtime")  # the first is Google's successor of the second
_CPU = ("CPU",)


def import_tflite() -> Any:
    """The module with Interpreter and load_delegate; raises BackendUnavailable."""
    reasons = []
    for package in _PACKAGES:
        try:
            return importlib.import_module(f"{package}.interpreter")
        except ImportError as error:
            reasons.append(str(error))
    raise BackendUnavailable(
        f"no TFLite runtime can be imported ({'; '.join(reasons)}): install ai-edge-litert, or where it has "
        "no wheel tflite-runtime with numpy<2; or choose the runtime onnx"
    )


_Idle: TypeAlias = "SimpleQueue[Interpreter]"


class Interpreter:
    """One native interpreter behind its signature; not thread-safe. `details` are its tensors by name.

    given: the numbers that the graph takes; None for the bytes of the pixels.
    """

    def __init__(self, native: Any, given: GraphInput | None = None) -> None:
        self._runner = native.get_signature_runner(_only_signature(native))
        self.inputs: Mapping[str, Mapping[str, Any]] = self._runner.get_input_details()
        self.outputs: Mapping[str, Mapping[str, Any]] = self._runner.get_output_details()
        self._given = given
        self._table = None if given is None else make_table(given, *self.inputs.values())

    def run(self, pixels: Pixels) -> Heads:
        """Heads of one image, uint8 [1, H, W, 3]."""
        ((name, details),) = self.inputs.items()
        if self._given is None:
            taken = quantise_pixels(pixels, details["dtype"])
        else:
            taken = convert_pixels(pixels, self._given, self._table)
        values = self._runner(**{name: taken})
        return {name: _dequantise(value, self.outputs[name]) for name, value in values.items()}


class TfliteBackend:
    """An interpreter per slot, taken in turn, and maybe one with more threads; their batch is 1."""

    def __init__(
        self,
        narrow: list[Interpreter],
        wide: list[Interpreter],
        *,
        outputs: tuple[str, ...],
        info: BackendInfo,
        threads_alone: int,
    ) -> None:
        self._outputs = outputs
        self._info = info
        self._info_alone = replace(info, threads=threads_alone if wide else info.threads)
        self._count = len(narrow), len(wide)
        self._narrow, self._wide = _queue_up(narrow), _queue_up(wide)

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        interpreter, idle = self._take(crowded=crowded)
        try:
            heads = [interpreter.run(pixels[index : index + 1]) for index in range(len(pixels))]
        finally:
            idle.put(interpreter)
        return {name: _stack([each[name] for each in heads]) for name in self._outputs}

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return self._info if crowded else self._info_alone

    def close(self) -> None:
        for idle, count in zip((self._narrow, self._wide), self._count, strict=True):
            for _ in range(count):
                idle.get()  # waits until its inference has ended

    def _take(self, *, crowded: bool) -> tuple[Interpreter, "_Idle"]:
        """A free interpreter, and the queue that it returns to."""
        if not crowded:
            with suppress(Empty):
                return self._wide.get_nowait(), self._wide
        return self._narrow.get(), self._narrow


def open_tflite(model: bytes, card: Card, *, precision: Precision, choice: BackendChoice) -> TfliteBackend:
    """The interpreters over the model's bytes.

    Raises BackendUnavailable when the choice is strict and a delegate cannot be loaded or takes no operator,
    InvalidCard when the bytes are not the graph that the card describes.
    """
    runtime = import_tflite()
    natives, in_effect = _create_natives(runtime, model, choice, choice.delegates)
    given = card.graph_input("tflite", precision)
    narrow = [Interpreter(native, given) for native in natives]
    wide = []
    if in_effect == _CPU and choice.widest > choice.threads:  # a delegate does not use these threads
        wide = [Interpreter(_create_native(runtime, model, threads=choice.widest), given)]
    first = narrow[0]
    check_graph(
        card,
        inputs=[(np.dtype(each["dtype"]).name, each["shape"].tolist()) for each in first.inputs.values()],
        outputs=first.outputs,
        given=given,
    )
    package = importlib.import_module(runtime.__name__.partition(".")[0])
    info = BackendInfo(
        runtime=package.__name__.replace("_", "-"),
        runtime_version=package.__version__,
        precision=precision,
        threads=choice.threads,
        asked=choice.delegates,
        in_effect=in_effect,
    )
    return TfliteBackend(narrow, wide, outputs=tuple(card.outputs), info=info, threads_alone=choice.widest)


def _create_natives(
    runtime: Any, model: bytes, choice: BackendChoice, delegates: tuple[str, ...]
) -> tuple[list[Any], tuple[str, ...]]:
    """An interpreter per slot, and the names in effect: delegates with work, and the CPU if some is left."""
    create = partial(_create_native, runtime, model, threads=choice.threads)
    try:
        natives = [create(delegates) for _ in range(choice.slots)]
        idle = find_idle(delegates, natives[0], create) if delegates else ()
    except (OSError, RuntimeError, ValueError) as error:
        if not delegates:
            raise InvalidCard(f"{runtime.__name__} cannot load the model: {error}") from error
        if choice.fallback == "strict":
            raise BackendUnavailable(
                f"the TFLite delegates {', '.join(delegates)} cannot start: {error}; check their path, "
                "library and device, or allow the fallback with `prefer`"
            ) from error
        return _create_natives(runtime, model, choice, ())
    if not idle:
        return natives, delegates + (_CPU if not delegates or count_left(natives[0]) else ())
    if choice.fallback == "strict":
        raise BackendUnavailable(
            f"the TFLite delegates {', '.join(idle)} take none of the model's operators: take a file that "
            "they can compute, do not ask for them, or allow the fallback with `prefer`"
        )
    return _create_natives(runtime, model, choice, tuple(each for each in delegates if each not in idle))


def _create_native(runtime: Any, model: bytes, delegates: tuple[str, ...] = (), *, threads: int) -> Any:
    return runtime.Interpreter(
        model_content=model,
        num_threads=threads,
        experimental_delegates=[load_delegate(runtime, text) for text in delegates],
    )


def _only_signature(native: Any) -> str:
    signatures = list(native.get_signature_list())
    if len(signatures) != 1:
        raise InvalidCard(
            f"the TFLite file has {len(signatures)} signatures, expected the one whose outputs are the heads"
        )
    return str(signatures[0])


def _dequantise(values: Any, details: Mapping[str, Any]) -> Floats:
    quantisation = details["quantization_parameters"]
    if len(quantisation["scales"]) == 0:
        return np.ascontiguousarray(values, np.float32)
    shifted = values.astype(np.float32) - np.float32(quantisation["zero_points"][0])
    return np.asarray(shifted * np.float32(quantisation["scales"][0]), np.float32)


def _queue_up(interpreters: Iterable[Interpreter]) -> "_Idle":
    idle: _Idle = SimpleQueue()
    for interpreter in interpreters:
        idle.put(interpreter)
    return idle


def _stack(heads: list[Floats]) -> Floats:
    return heads[0] if len(heads) == 1 else np.concatenate(heads)


_SYMBOLS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")
_TAKEN = "DELEGATE"


def load_delegate(runtime: Any, text: str) -> Any:
    """A delegate by path and options; raises OSError where the library is missing or is no delegate."""
    path, options = split_options(text)
    library = ctypes.pydll.LoadLibrary(path)  # where the runtime itself fails at this, it prints a traceback
    if missing := [symbol for symbol in _SYMBOLS if not hasattr(library, symbol)]:
        raise OSError(f"{path} is no TFLite delegate: it has no {missing[0]}")
    return runtime.load_delegate(path, options)


def find_idle(
    delegates: tuple[str, ...], native: Any, create: Callable[[tuple[str, ...]], Any]
) -> tuple[str, ...]:
    """The delegates that took no operator; `native` has them all, `create` makes one with some of them."""
    natives = [*(create(delegates[:count]) for count in range(1, len(delegates))), native]
    counts = [0, *(_count_parts(each) for each in natives)]
    steps = zip(delegates, counts, counts[1:], strict=False)
    return tuple(delegate for delegate, before, after in steps if after == before)


def count_left(native: Any) -> int:
    """The number of operators that no delegate took."""
    operators = native._get_ops_details()
    own = {operator["index"]: operator for operator in operators if operator["op_name"] != _TAKEN}
    makers = {tensor: operator for operator in own.values() for tensor in operator["outputs"]}
    for part in operators:
        if part["op_name"] == _TAKEN:
            given, wanted = set(part["inputs"]), list(part["outputs"])
            while wanted:
                tensor = wanted.pop()
                if tensor in makers and tensor not in given and own.pop(makers[tensor]["index"], None):
                    wanted.extend(makers[tensor]["inputs"])
    return len(own)


def _count_parts(native: Any) -> int:
    return sum(operator["op_name"] == _TAKEN for operator in native._get_ops_details())
