"""TorchScript files, and NCNN files, which pnnx makes of TorchScript."""

import re
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from service.inference.card import GraphInput
from service.types import Size

TAKEN = GraphInput(layout="NCHW", scale=1.0)  # NCNN's tensors are planes of floats; here of bytes' values


class ConversionFailed(Exception):
    """pnnx is missing, or has no NCNN layers for a part of the network."""


def write_torchscript(network: nn.Module, canvas: Size, path: Path) -> None:
    """TorchScript of the network: uint8 [N, H, W, 3] of the canvas's size to the heads by name.

    It is a trace, as the networks have no branches that depend on a picture.
    """
    example = torch.zeros(1, canvas.height, canvas.width, 3, dtype=torch.uint8)
    with _quiet_tracing():
        torch.jit.trace(network.eval(), (example,), strict=False).save(str(path))  # type: ignore[no-untyped-call]


class Planar(nn.Module):
    """The network for float32 [1, 3, H, W] from 0 to 255, with its heads as a tuple."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, planes: Tensor) -> tuple[Tensor, ...]:
        heads: dict[str, Tensor] = self.network(planes.permute(0, 2, 3, 1))
        return tuple(heads.values())


def write_ncnn(network: nn.Module, canvas: Size, path: Path, *, outputs: Sequence[str]) -> None:
    """NCNN's graph at the path, and its weights beside it as .bin; fp32, for planes as in TAKEN.

    outputs: the names of the heads. Raises ConversionFailed, also where pnnx is not installed.
    """
    try:
        import pnnx  # imported here, as all other commands work without it
    except ImportError as error:
        raise ConversionFailed(f"NCNN files need a package: pip install pnnx ({error})") from error
    shape = (1, 3, canvas.height, canvas.width)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _quiet_tracing():
            traced = torch.jit.trace(Planar(network.eval()), (torch.zeros(shape),))  # type: ignore[no-untyped-call]
        traced.save(str(folder / "traced.pt"))
        graph, weights = folder / "graph.param", folder / "graph.bin"
        options = (f"inputshape={list(shape)}", "fp16=0", f"ncnnparam={graph}", f"ncnnbin={weights}")
        command = [pnnx.EXEC_PATH, "traced.pt", *(option.replace(" ", "") for option in options)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not graph.exists():
            raise ConversionFailed(f"pnnx cannot convert the network: {(done.stderr or done.stdout)[-300:]}")
        refuse_unknown_layers(graph.read_text())
        path.write_text(name_blobs(graph.read_text(), outputs))
        path.with_suffix(".bin").write_bytes(weights.read_bytes())


def refuse_unknown_layers(graph: str) -> None:
    """Raises ConversionFailed for layers that pnnx left under PyTorch's names, which have dots."""
    kinds = [line.split()[0] for line in graph.splitlines()[2:] if line.strip()]
    if unknown := sorted({kind for kind in kinds if "." in kind}):
        raise ConversionFailed(f"NCNN has no layer for {', '.join(unknown)}: export to another runtime")


def name_blobs(graph: str, outputs: Sequence[str]) -> str:
    """The graph with the input `pixels` and the outputs by their names, for pnnx's in0 and out0, out1, ...

    >>> name_blobs("Input in0 0 1 in0\\nReLU relu 1 1 in0 out0", ["heatmap"])
    'Input pixels 0 1 pixels\\nReLU relu 1 1 pixels heatmap'
    """
    names = {f"out{number}": output for number, output in enumerate(outputs)} | {"in0": "pixels"}
    return re.sub(r"\b(in0|out\d+)\b", lambda match: names.get(match[0], match[0]), graph)


@contextmanager
def _quiet_tracing() -> Iterator[None]:
    """Hides two kinds of warnings of torch.

    It advises torch.export, whose files pnnx cannot read, and it says that sizes become constants of the
    file, as they should: a file is for one canvas.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield
