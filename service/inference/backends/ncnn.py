"""NCNN: a graph (`.param`) and its weights (`.bin`), on the CPU of a phone, a board or a PC.

Each inference is an extractor of its own, so that all slots share a net and its weights. NCNN packs the
weights for a number of threads, so inferences with more threads have a second net.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from service.errors import BackendUnavailable, InvalidCard
from service.inference.backends.base import BackendChoice, check_graph
from service.inference.backends.graph_input import convert_pixels, make_table
from service.inference.card import Card, GraphInput
from service.types import BackendInfo, Floats, Heads, Pixels, Precision

_FREE = ("N", 3, "height", "width")  # the extents that a graph leaves open; NCNN's graphs name none
_NO_MEMORY = -100
_NUMBERS = {"dtype": np.float32, "quantization_parameters": {}}


def import_ncnn() -> Any:
    """The module; raises BackendUnavailable.

    Threads of its OpenMP that wait for each other sleep, unless the environment says otherwise. Threads that
    spin keep the core from the very thread that they wait for: on two busy cores, the median inference with
    two threads took 52 ms with spinning and 8 ms without.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import ncnn
    except ImportError as error:
        raise BackendUnavailable(
            f"NCNN cannot be imported ({error}): install the extra ncnn, or choose another runtime"
        ) from error
    return ncnn


class NcnnBackend:
    """A net for all slots, and maybe one with more threads; their batch is 1."""

    def __init__(
        self,
        runtime: Any,
        nets: tuple[Any, Any],
        *,
        card: Card,
        given: GraphInput,
        infos: tuple[BackendInfo, BackendInfo],
    ) -> None:
        """nets, infos: while other slots are free, and while all are at work."""
        self._runtime = runtime
        self._nets = nets
        self._outputs = {name: len(shape) for name, shape in card.outputs.items()}
        self._given = given
        self._table = make_table(given, _NUMBERS)
        self._infos = infos

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        heads = [
            self._run_one(pixels[place : place + 1], self._nets[crowded]) for place in range(len(pixels))
        ]
        return {name: np.stack([each[name] for each in heads]) for name in self._outputs}

    def _run_one(self, pixels: Pixels, net: Any) -> Heads:
        taken = convert_pixels(pixels, self._given, self._table)
        extractor = net.create_extractor()
        (name,) = net.input_names()
        extractor.input(name, self._runtime.Mat(taken[0]))
        return {output: self._extract(extractor, output) for output in self._outputs}

    def _extract(self, extractor: Any, name: str) -> Floats:
        """The head of one picture, without the batch axis that NCNN keeps where a head is constant."""
        status, values = extractor.extract(name)
        if status != 0:
            kind = MemoryError if status == _NO_MEMORY else RuntimeError
            raise kind(f"NCNN could not compute {name}: status {status}")
        head: Floats = np.array(values, np.float32)
        is_batch = head.ndim == self._outputs[name] + 1 and len(head) == 1
        return head[0] if is_batch else head

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return self._infos[crowded]

    def close(self) -> None:
        for net in self._nets:
            net.clear()


def open_ncnn(
    model: bytes, card: Card, *, precision: Precision, choice: BackendChoice, weights: bytes = b""
) -> NcnnBackend:
    """The nets of a graph and its weights.

    Raises BackendUnavailable where NCNN is not installed, InvalidCard when the bytes are not the graph that
    the card describes.
    """
    runtime = import_ncnn()
    given = card.graph_input("ncnn", precision)
    assert given is not None  # a card without it is refused
    narrow = _load(runtime, model, weights, precision=precision, threads=choice.threads)
    check_graph(
        card,
        inputs=[("float32", _FREE) for _ in narrow.input_names()],
        outputs=narrow.output_names(),
        given=given,
    )
    wide = narrow
    if choice.widest > choice.threads:
        wide = _load(runtime, model, weights, precision=precision, threads=choice.widest)
    crowded = BackendInfo(
        runtime="ncnn",
        runtime_version=runtime.__version__,
        precision=precision,
        threads=choice.threads,
        asked=(),
        in_effect=("CPU",),
    )
    infos = replace(crowded, threads=choice.widest), crowded
    return NcnnBackend(runtime, (wide, narrow), card=card, given=given, infos=infos)


def _load(runtime: Any, model: bytes, weights: bytes, *, precision: Precision, threads: int) -> Any:
    """A net with the weights; raises InvalidCard."""
    net = runtime.Net()
    net.opt.num_threads = threads
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, option, precision == "fp16")  # else NCNN computes fp32 files in fp16 on ARM
    with _as_file(weights) as path:
        if net.load_param_mem(model.decode("ascii", "replace")) != 0 or net.load_model(path) != 0:
            raise InvalidCard("NCNN cannot load the model: export it again, or with this version of NCNN")
    return net


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """The path of a file with these bytes, in memory where the system can do that.

    NCNN's interface for bytes takes text only, which ends at the first zero.
    """
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("weights"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.bin"
        path.write_bytes(content)
        yield str(path)
