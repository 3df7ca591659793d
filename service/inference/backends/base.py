"""The interface to the runtimes: plain pixels in, plain heads out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias

from service.errors import InvalidCard, InvalidSetting
from service.inference.card import Card, GraphInput, Runtime
from service.inference.families import Shape
from service.types import BackendInfo, Heads, Pixels

RuntimeName: TypeAlias = Literal["onnx", "tflite", "openvino", "ncnn"]
RuntimeChoice: TypeAlias = Literal["auto", "onnx", "tflite", "openvino", "ncnn"]
PrecisionChoice: TypeAlias = Literal["auto", "fp32", "fp16", "int8", "bf16"]
Fallback: TypeAlias = Literal["strict", "prefer"]

# the runtimes by the packages that descriptions of backends name
PACKAGES: Mapping[str, RuntimeName] = MappingProxyType(
    {
        "onnxruntime": "onnx",
        "ai-edge-litert": "tflite",
        "tflite-runtime": "tflite",
        "openvino": "openvino",
        "ncnn": "ncnn",
    }
)
# the kind of file that each runtime opens
FILES: Mapping[RuntimeName, Runtime] = MappingProxyType(
    {"onnx": "onnx", "tflite": "tflite", "openvino": "onnx", "ncnn": "ncnn"}
)


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """The operator's choice of runtime, precision, devices and threads.

    runtime, precision: select a file of the card; "auto" takes the first runtime that this machine has,
        OpenVINO only where it is named, and the fastest precision that is about as accurate as fp32 (see
        `choose_file`). "bf16" computes the fp32 file, with OpenVINO only.
    providers: ONNX Runtime providers, best first, by long or short name (`CUDAExecutionProvider`, `cuda`), or
        OpenVINO devices (`GPU`).
    delegates: TFLite delegates by path. Options follow a provider or delegate as `;option=value`.
    fallback: "strict" refuses to open when a provider or delegate is not in effect; "prefer" continues
        without it, and `describe()` shows that.
    slots: inferences that may run at the same time.
    threads: threads of one inference while all slots are at work.
    threads_alone: threads of one inference while other slots are free; None: the same as `threads`.
    batch: images that a GPU computes together, at most.
    batch_wait_ms: time that the first image of a batch waits for others.
    Raises InvalidSetting where these contradict each other, or options are malformed.
    """

    runtime: RuntimeChoice = "auto"
    precision: PrecisionChoice = "auto"
    providers: tuple[str, ...] = ()
    delegates: tuple[str, ...] = ()
    fallback: Fallback = "strict"
    threads: int = 1
    threads_alone: int | None = None
    slots: int = 1
    batch: int = 1
    batch_wait_ms: float = 2.0

    def __post_init__(self) -> None:
        if min(self.threads, self.slots, self.widest) < 1:
            raise ValueError(f"threads and slots start at 1, got {self.threads}, {self.widest}, {self.slots}")
        if self.providers and (self.delegates or self.runtime in ("tflite", "ncnn")):
            raise InvalidSetting(
                "providers belong to ONNX Runtime and OpenVINO: leave them out, or set the runtime to one of "
                "these, onnx or openvino"
            )
        if self.precision == "bf16" and self.runtime != "openvino":
            raise InvalidSetting(
                "only OpenVINO computes bf16: set the runtime to openvino, or take another precision"
            )
        if self.delegates and self.runtime not in ("auto", "tflite"):
            raise InvalidSetting("delegates belong to TFLite: leave them out, or set the runtime to tflite")
        for text in self.providers + self.delegates:
            split_options(text)

    @property
    def widest(self) -> int:
        """Threads of one inference while other slots are free."""
        return self.threads if self.threads_alone is None else self.threads_alone


class Backend(Protocol):
    """One opened artifact; every method may be called from any thread."""

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        """Heads by name, float32 [N, ...], of uint8 [N, H, W, 3] RGB pixels, canvas frame.

        N is 1 where a head of the card has a free extent, as lists of different lengths make no batch.

        crowded: other slots are at work, too, so use `threads` instead of `threads_alone`.
        """
        ...

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        """The runtime, devices and threads of such a run, as asked for and as in effect."""
        ...

    def close(self) -> None:
        """Frees the runtime's memory; no `run` may follow."""
        ...


def split_options(text: str) -> tuple[str, dict[str, str]]:
    """A provider or delegate and its options; raises InvalidSetting when malformed.

    >>> split_options("/usr/lib/libedgetpu.so.1;device=usb")
    ('/usr/lib/libedgetpu.so.1', {'device': 'usb'})
    """
    name, *pairs = text.split(";")
    options = dict(pair.partition("=")[::2] for pair in pairs)
    if not name or "" in options or not all("=" in pair for pair in pairs):
        raise InvalidSetting(f"{text!r} is not of the form NAME;OPTION=VALUE;OPTION=VALUE")
    return name, options


def check_graph(
    card: Card,
    *,
    inputs: Sequence[tuple[str, Sequence[object]]],
    outputs: Collection[str],
    given: GraphInput | None = None,
) -> None:
    """Raises InvalidCard unless a graph takes one image and gives the card's outputs by name.

    inputs: dtype and shape of each input; an extent that is not an int is free.
    given: the numbers that the graph takes; None for the bytes of the pixels.
    """
    shape, dtypes = _expect_input(card, given)
    if len(inputs) != 1 or inputs[0][0] not in dtypes or not _may_be(inputs[0][1], shape):
        found = " and ".join(f"{dtype} {list(shape)}" for dtype, shape in inputs)
        raise InvalidCard(
            f"{card.name} {card.version}: the graph takes {found}, expected {dtypes[0]} {list(shape)}"
        )
    missing = sorted(set(card.outputs) - set(outputs))
    if missing:
        raise InvalidCard(
            f"{card.name} {card.version}: the graph has no output {', '.join(missing)}, only "
            f"{', '.join(sorted(outputs))}; export it with the card's names"
        )


def _expect_input(card: Card, given: GraphInput | None) -> tuple[Shape, tuple[str, ...]]:
    """The shape that a graph's input may have, None for a free extent, and its dtypes."""
    as_is = card.input.fit == "as_is"
    extents = (None, None) if as_is else (card.canvas.height, card.canvas.width)
    if given is None:
        return (1, *extents, 3), ("uint8", "int8")
    shape = (1, 3, *extents) if given.layout == "NCHW" else (1, *extents, 3)
    return shape, ("float32", "float16", "uint8", "int8")


def _may_be(found: Sequence[object], expected: Shape) -> bool:
    """True where every extent is free or the expected one; one that has to be free is."""
    return len(found) == len(expected) and all(
        extent == wanted or not isinstance(extent, int)
        for extent, wanted in zip(found, expected, strict=True)
    )
