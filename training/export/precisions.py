"""A model folder's other precisions: fp16 and INT8 beside fp32, each checked before it joins the card."""

import hashlib
import math
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import numpy as np

from service.errors import InvalidCard
from service.inference.backends import BackendChoice, open_backend
from service.inference.card import ArtifactFile, Card, Runtime, read_card
from service.inference.golden import Golden, check_heads, draw_picture, read_golden
from service.types import Floats, Heads, Pixels, Precision, Size
from training.data.datasets import Split
from training.data.validate import read_content
from training.export.model_folder import ExportMismatch
from training.export.parity import read_canvases
from training.export.quantize import halve_onnx, halve_tflite, quantise_onnx, quantise_tflite

LEAST_LIKENESS: Mapping[Precision, float] = MappingProxyType({"fp16": 0.999, "int8": 0.9})
LEAST_TOLERANCE: Mapping[Precision, float] = MappingProxyType({"fp16": 0.02, "int8": 0.1})
FLOAT_HEADS = frozenset(
    {"heatmap"}
)  # costs no time that can be measured, and scores keep more than 256 levels
CHECKED = 4  # pictures
TINY = 1e-12
MARGIN = 2.0  # of the self-test's tolerance over what was measured here, for runtimes that round otherwise


@dataclass(frozen=True, slots=True)
class Source:
    """What the files are made from.

    folder: of the model, with its fp32 files. pictures: uint8 [N, H, W, 3], canvases of training pictures.
    float_heads: whose last convolution stays fp32 in INT8 files.
    """

    folder: Path
    pictures: Pixels
    float_heads: frozenset[str] = frozenset()


Writer = Callable[[Source, Path], None]


def _halve_onnx(source: Source, path: Path) -> None:
    halve_onnx(_locate_fp32(source.folder, "onnx"), path)


def _halve_tflite(source: Source, path: Path) -> None:
    halve_tflite(_locate_fp32(source.folder, "tflite"), path)


def _quantise_onnx(source: Source, path: Path) -> None:
    fp32 = _locate_fp32(source.folder, "onnx")
    quantise_onnx(fp32, path, source.pictures, float_heads=source.float_heads)


def _quantise_tflite(source: Source, path: Path) -> None:
    fp32 = _locate_fp32(source.folder, "tflite")
    quantise_tflite(fp32, path, source.pictures, float_heads=source.float_heads)


WRITERS: Mapping[tuple[Runtime, Precision], Writer] = MappingProxyType(
    {
        ("onnx", "fp16"): _halve_onnx,
        ("tflite", "fp16"): _halve_tflite,
        ("onnx", "int8"): _quantise_onnx,
        ("tflite", "int8"): _quantise_tflite,
    }
)


def add_precisions(source: Source, writers: Mapping[tuple[Runtime, Precision], Writer] = WRITERS) -> Card:
    """Writes the files into the model folder and its card; older ones of the same kind are replaced.

    Raises InvalidCard where the fp32 file to make one from is missing, ExportMismatch when a file's heads
    have little to do with those of fp32.
    """
    card, golden = read_card(source.folder), read_golden(source.folder)
    pictures = source.pictures[:CHECKED]
    expected = _run_file(source.folder, card, _find_fp32(card, get_args(Runtime)), pictures)
    with tempfile.TemporaryDirectory(dir=source.folder.parent, prefix=f".{source.folder.name}-") as name:
        draft = Path(name)
        for kind, write in writers.items():
            write(source, draft / _file_name(kind))
        added = tuple(_describe_file(draft / _file_name(kind), kind) for kind in writers)
        kept = tuple(file for file in card.files if (file.runtime, file.precision) not in writers)
        card = Card.model_validate(card.model_dump() | {"files": kept + added})
        for file in added:
            _check_likeness(file, _run_file(draft, card, file, pictures), expected)
            drawn = draw_picture(card.canvas, golden.seed)[None]
            golden = _widen_tolerance(golden, file.precision, _run_file(draft, card, file, drawn))
        (draft / "golden.json").write_text(golden.model_dump_json(indent=1) + "\n")
        (draft / "card.json").write_text(card.model_dump_json(indent=2) + "\n")
        for file_name in (*(file.path for file in added), "golden.json", "card.json"):
            (draft / file_name).replace(source.folder / file_name)
    return card


def read_calibration(split: Split, canvas: Size, count: int) -> Pixels:
    """`count` canvases from all over a split: uint8 [N, H, W, 3]."""
    images = read_content(split.annotations)["images"]
    chosen = images[:: max(1, len(images) // count)][:count]
    return read_canvases([split.images / image["file_name"] for image in chosen], canvas)


def likeness(found: Heads, expected: Heads) -> dict[str, float]:
    """The cosine between each head and the expected one; 1 is the same up to a factor."""
    return {name: _cosine(found[name].ravel(), values.ravel()) for name, values in expected.items()}


def _cosine(a: Floats, b: Floats) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), TINY))


def _find_fp32(card: Card, runtimes: Collection[Runtime]) -> ArtifactFile:
    for file in card.files:
        if file.precision == "fp32" and file.runtime in runtimes:
            return file
    raise InvalidCard(
        f"{card.name} {card.version} has no fp32 file for {' or '.join(runtimes)} to make others from; "
        "`export` makes a model folder with them from a checkpoint"
    )


def _locate_fp32(folder: Path, runtime: Runtime) -> Path:
    return folder / _find_fp32(read_card(folder), (runtime,)).path


def _run_file(folder: Path, card: Card, file: ArtifactFile, pixels: Pixels) -> Heads:
    backend = open_backend(folder, card, BackendChoice(runtime=file.runtime, precision=file.precision))
    try:
        return backend.run(pixels)
    finally:
        backend.close()


def _check_likeness(file: ArtifactFile, found: Heads, expected: Heads) -> None:
    alike = likeness(found, expected)
    worst = min(alike, key=lambda name: alike[name])
    if not alike[worst] >= LEAST_LIKENESS[file.precision]:
        raise ExportMismatch(
            f"head {worst} of {file.path} has a cosine of {alike[worst]:.3f} with fp32's, less "
            f"than {LEAST_LIKENESS[file.precision]}: calibrate on more pictures, or keep it in floating point"
        )


def _widen_tolerance(golden: Golden, precision: Precision, heads: Heads) -> Golden:
    boundless = golden.model_copy(update={"tolerance": {precision: math.inf}})
    measured = check_heads(heads, boundless, precision)
    known = golden.tolerance.get(precision, LEAST_TOLERANCE[precision])
    tolerance = {**golden.tolerance, precision: max(known, round(MARGIN * measured, 3))}
    return golden.model_copy(update={"tolerance": tolerance})


def _file_name(kind: tuple[Runtime, Precision]) -> str:
    runtime, precision = kind
    return f"model.{precision}.{runtime}"


def _describe_file(path: Path, kind: tuple[Runtime, Precision]) -> ArtifactFile:
    content = path.read_bytes()
    runtime, precision = kind
    return ArtifactFile(
        path=path.name,
        runtime=runtime,
        precision=precision,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )
