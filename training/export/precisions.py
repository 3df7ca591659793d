"""fp16 and INT8 files of a model folder, made from its fp32 files and checked before they join the card."""

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
from service.inference.card import ArtifactFile, Card, FilePrecision, Runtime, read_card
from service.inference.golden import Golden, check_heads, draw_picture, read_golden
from service.types import Floats, Heads, Pixels, Precision, Size
from training.data.datasets import Split, read_split
from training.export.model_folder import ExportMismatch
from training.export.parity import read_canvases
from training.export.quantize import (
    convert_onnx_to_fp16,
    convert_tflite_to_fp16,
    quantise_onnx,
    quantise_tflite,
)
from training.export.tflite import UnknownNormalisation

MIN_COSINE: Mapping[Precision, float] = MappingProxyType({"fp16": 0.999, "int8": 0.9})
MIN_TOLERANCE: Mapping[Precision, float] = MappingProxyType({"fp16": 0.02, "int8": 0.1})
FLOAT_HEADS = frozenset({"heatmap"})  # keeps more than 256 levels of score, at no measurable cost
CHECKED = 4  # pictures
TINY = 1e-12
MARGIN = 2.0  # the self-test tolerates twice the difference measured here, since runtimes round differently


@dataclass(frozen=True, slots=True)
class Source:
    """The inputs of the conversion.

    folder: of the model, with its fp32 files. pictures: uint8 [N, H, W, 3], canvases of training pictures.
    float_heads: heads whose last convolution stays fp32 in INT8 files.
    """

    folder: Path
    pictures: Pixels
    float_heads: frozenset[str] = frozenset()


Writer = Callable[[Source, Path], None]


def _write_onnx_fp16(source: Source, path: Path) -> None:
    convert_onnx_to_fp16(_locate_fp32(source.folder, "onnx"), path)


def _write_tflite_fp16(source: Source, path: Path) -> None:
    convert_tflite_to_fp16(_locate_fp32(source.folder, "tflite"), path)


def _write_onnx_int8(source: Source, path: Path) -> None:
    fp32 = _locate_fp32(source.folder, "onnx")
    quantise_onnx(fp32, path, source.pictures, float_heads=source.float_heads)


def _write_tflite_int8(source: Source, path: Path) -> None:
    fp32 = _locate_fp32(source.folder, "tflite")
    try:
        quantise_tflite(fp32, path, source.pictures, float_heads=source.float_heads)
    except UnknownNormalisation as error:
        raise InvalidCard(f"{fp32} cannot become INT8: {error}") from error


WRITERS: Mapping[tuple[Runtime, FilePrecision], Writer] = MappingProxyType(
    {
        ("onnx", "fp16"): _write_onnx_fp16,
        ("tflite", "fp16"): _write_tflite_fp16,
        ("onnx", "int8"): _write_onnx_int8,
        ("tflite", "int8"): _write_tflite_int8,
    }
)


def add_precisions(source: Source, writers: Mapping[tuple[Runtime, FilePrecision], Writer] = WRITERS) -> Card:
    """Adds the files to the model folder and its card, in place of older ones of the same kind.

    Raises InvalidCard if an fp32 file is missing, ExportMismatch if a file's heads differ too much from
    fp32's.
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
            _check_cosines(file, _run_file(draft, card, file, pictures), expected)
            drawn = draw_picture(card.canvas, golden.seed)[None]
            golden = _widen_tolerance(golden, file.precision, _run_file(draft, card, file, drawn))
        (draft / "golden.json").write_text(golden.model_dump_json(indent=1) + "\n")
        (draft / "card.json").write_text(card.model_dump_json(indent=2) + "\n")
        for file_name in (*(file.path for file in added), "golden.json", "card.json"):
            (draft / file_name).replace(source.folder / file_name)
    return card


def read_calibration(split: Split, canvas: Size, count: int) -> Pixels:
    """`count` canvases, spread over a split: uint8 [N, H, W, 3]."""
    images = read_split(split, "skip")[0]["images"]
    chosen = images[:: max(1, len(images) // count)][:count]
    return read_canvases([split.images / image["file_name"] for image in chosen], canvas)


def head_cosines(found: Heads, expected: Heads) -> dict[str, float]:
    """The cosine similarity of each head and the expected one."""
    return {name: _cosine(found[name].ravel(), values.ravel()) for name, values in expected.items()}


def _cosine(a: Floats, b: Floats) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), TINY))


def _find_fp32(card: Card, runtimes: Collection[Runtime]) -> ArtifactFile:
    for file in card.files:
        if file.precision == "fp32" and file.runtime in runtimes:
            return file
    raise InvalidCard(
        f"{card.name} {card.version} has no fp32 file for {' or '.join(runtimes)}, which the others are made "
        "from: `export` writes it from a checkpoint"
    )


def _locate_fp32(folder: Path, runtime: Runtime) -> Path:
    return folder / _find_fp32(read_card(folder), (runtime,)).path


def _run_file(folder: Path, card: Card, file: ArtifactFile, pixels: Pixels) -> Heads:
    backend = open_backend(folder, card, BackendChoice(runtime=file.runtime, precision=file.precision))
    try:
        return backend.run(pixels)
    finally:
        backend.close()


def _check_cosines(file: ArtifactFile, found: Heads, expected: Heads) -> None:
    alike = head_cosines(found, expected)
    worst = min(alike, key=lambda name: alike[name])
    if not alike[worst] >= MIN_COSINE[file.precision]:
        raise ExportMismatch(
            f"head {worst} of {file.path} has a cosine similarity of {alike[worst]:.3f} with fp32, less than "
            f"{MIN_COSINE[file.precision]}: calibrate on more pictures, or keep the head in floating point"
        )


def _widen_tolerance(golden: Golden, precision: Precision, heads: Heads) -> Golden:
    boundless = golden.model_copy(update={"tolerance": {precision: math.inf}})
    measured = check_heads(heads, boundless, precision)
    known = golden.tolerance.get(precision, MIN_TOLERANCE[precision])
    tolerance = {**golden.tolerance, precision: max(known, round(MARGIN * measured, 3))}
    return golden.model_copy(update={"tolerance": tolerance})


def _file_name(kind: tuple[Runtime, FilePrecision]) -> str:
    runtime, precision = kind
    return f"model.{precision}.{runtime}"


def _describe_file(path: Path, kind: tuple[Runtime, FilePrecision]) -> ArtifactFile:
    content = path.read_bytes()
    runtime, precision = kind
    return ArtifactFile(
        path=path.name,
        runtime=runtime,
        precision=precision,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )
