"""Model folders that the service loads: ONNX, TFLite and NCNN files, checked against PyTorch, and a card."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import torch
import typer

from service.inference.backends import BackendChoice, open_backend
from service.inference.card import ArtifactFile, Card, Input, Label, Runtime, Weights
from service.inference.families import Shape
from service.inference.golden import Golden, draw_picture, sample_heads
from service.types import Heads, Pixels, Precision, Size
from training.export.complexity import count_network
from training.export.decoders import describe_architecture
from training.export.ncnn import TAKEN, write_ncnn
from training.export.tflite import write_tflite
from training.networks.families import Network

GOLDEN_SEED = 1
CHECK_SEEDS = (2, 3)
TOLERANCE: Mapping[Precision, float] = MappingProxyType({"fp32": 1e-3})


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The parts of a card that do not follow from the network."""

    name: str
    version: str
    description: str
    labels: tuple[Label, ...]
    canvas: Size
    score_threshold: float = 0.3


class ExportMismatch(Exception):
    """An exported file does not compute what the network does."""


Exporter = Callable[[Network, Size, Path], None]


def export_onnx(network: Network, canvas: Size, path: Path) -> None:
    """ONNX, opset 18, any batch size."""
    program = torch.onnx.export(
        network,
        (_blank(canvas, batch=2),),
        dynamo=True,
        opset_version=18,
        input_names=["pixels"],
        output_names=list(measure_heads(network, canvas)),
        dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    strip_metadata(model)
    onnx.save(model, path)


def strip_metadata(model: onnx.ModelProto) -> None:
    """Removes the source paths and line numbers of this machine, which torch adds to each node."""
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    nodes = (*graph.node, *(node for function in model.functions for node in function.node))
    for part in (model, graph, *nodes, *values, *model.functions):
        part.ClearField("metadata_props")


def export_tflite(network: Network, canvas: Size, path: Path) -> None:
    """TFLite, batch size 1, with the heads' names in its signature."""
    write_tflite(network, _blank(canvas, batch=1), path)


def export_ncnn(network: Network, canvas: Size, path: Path) -> None:
    """NCNN's .param file at the path, and the .bin file beside it, batch size 1."""
    write_ncnn(network, canvas, path, outputs=list(measure_heads(network, canvas)))


EXPORTERS: Mapping[Runtime, Exporter] = MappingProxyType(
    {"onnx": export_onnx, "tflite": export_tflite, "ncnn": export_ncnn}
)
USUAL: tuple[Runtime, ...] = ("onnx", "tflite")


def read_runtimes(text: str) -> tuple[Runtime, ...]:
    """The runtimes of a list; raises BadParameter for one that there is no exporter for.

    >>> read_runtimes("onnx,tflite"), read_runtimes("")
    (('onnx', 'tflite'), ())
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    runtimes = tuple(runtime for runtime in EXPORTERS if runtime in names)
    if unknown := set(names) - set(runtimes):
        missing = ", ".join(sorted(unknown))
        raise typer.BadParameter(f"there is no runtime {missing}; there are {', '.join(EXPORTERS)}")
    return runtimes


def export_model(
    network: Network, title: ModelInfo, folder: Path, *, exporters: Mapping[Runtime, Exporter] | None = None
) -> Card:
    """Writes the model folder; existing files are replaced only after all new files pass their check.

    exporters: by runtime; None for the USUAL ones.
    Raises ExportMismatch if a file's heads differ from PyTorch's.
    """
    network.eval()
    if exporters is None:
        exporters = {runtime: EXPORTERS[runtime] for runtime in USUAL}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
        draft = Path(name)
        for runtime, export in exporters.items():
            export(network, title.canvas, draft / _file_name(runtime))
        card = describe_model(network, title, tuple(_describe_file(draft, runtime) for runtime in exporters))
        for file in card.files:
            check_file(network, card, draft, file)
        golden = draw_golden(network, title.canvas)
        (draft / "golden.json").write_text(golden.model_dump_json(indent=1) + "\n")
        (draft / "labels.txt").write_text("".join(f"{label.name}\n" for label in title.labels))
        (draft / "card.json").write_text(card.model_dump_json(indent=2) + "\n")
        parts = [part.path for file in card.files for part in file.parts]
        for file_name in (*parts, "golden.json", "labels.txt", "card.json"):
            (draft / file_name).replace(folder / file_name)
    return card


def run_network(network: Network, pixels: Pixels) -> Heads:
    """PyTorch's heads, float32 [N, h, w, C], for uint8 [N, H, W, 3]."""
    with torch.no_grad():
        return {name: head.numpy() for name, head in network(torch.from_numpy(pixels)).items()}


def measure_heads(network: Network, canvas: Size) -> dict[str, Shape]:
    """The shape of each head without the batch axis, in the order of the outputs."""
    with torch.no_grad():
        heads = network(_blank(canvas, batch=1).to(next(network.parameters()).device))
    return {name: tuple(head.shape[1:]) for name, head in heads.items()}


def draw_golden(network: Network, canvas: Size) -> Golden:
    """The self-test: samples of PyTorch's heads for a drawn picture."""
    heads = run_network(network, draw_picture(canvas, GOLDEN_SEED)[None])
    samples = sample_heads(heads, GOLDEN_SEED)
    return Golden(schema_version=1, seed=GOLDEN_SEED, tolerance=dict(TOLERANCE), samples=samples)


def check_file(network: Network, card: Card, folder: Path, file: ArtifactFile) -> float:
    """The largest |difference| / (1 + |value|) between PyTorch's heads and the file's in the service's
    backend.
    """
    pixels = np.stack([draw_picture(card.canvas, seed) for seed in CHECK_SEEDS])
    backend = open_backend(folder, card, BackendChoice(runtime=file.runtime, precision=file.precision))
    try:
        found = backend.run(pixels)
    finally:
        backend.close()
    expected = run_network(network, pixels)
    worst = max(
        float((abs(found[name] - values) / (1 + abs(values))).max()) for name, values in expected.items()
    )
    if not worst <= TOLERANCE[file.precision]:
        raise ExportMismatch(
            f"{file.path} differs from PyTorch by {worst:.2g}: check the exporter and the runtime"
        )
    return worst


def describe_model(network: Network, title: ModelInfo, files: tuple[ArtifactFile, ...]) -> Card:
    """The card of newly exported files, without accuracy and latency."""
    described = describe_architecture(network.architecture, title.labels, title.score_threshold)
    complexity = count_network(network, title.canvas)
    has_ncnn = any(file.runtime == "ncnn" for file in files)
    return Card(
        schema_version=2 if has_ncnn else described.schema_version,
        name=title.name,
        version=title.version,
        description=title.description,
        network=described.network,
        input=Input(height=title.canvas.height, width=title.canvas.width),
        labels=described.labels,
        decoder=described.decoder,
        outputs=measure_heads(network, title.canvas),
        parameters=complexity.parameters,
        multiply_adds=complexity.multiply_adds,
        files=files,
    )


def _file_name(runtime: Runtime) -> str:
    return "model.fp32.param" if runtime == "ncnn" else f"model.fp32.{runtime}"


def _describe_file(folder: Path, runtime: Runtime) -> ArtifactFile:
    path = folder / _file_name(runtime)
    is_pair = runtime == "ncnn"
    return ArtifactFile(
        **_measure(path),
        runtime=runtime,
        precision="fp32",
        input=TAKEN if is_pair else None,
        weights=Weights(**_measure(path.with_suffix(".bin"))) if is_pair else None,
    )


def _measure(path: Path) -> dict[str, Any]:
    """The name, hash and size of a file, as a card has them."""
    content = path.read_bytes()
    return {"path": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _blank(canvas: Size, batch: int) -> torch.Tensor:
    return torch.zeros(batch, canvas.height, canvas.width, 3, dtype=torch.uint8)
