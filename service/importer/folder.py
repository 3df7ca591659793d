"""The model folder of an import: the file, card.json, labels.txt, golden.json and a README."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
from pydantic import ValidationError

from service.errors import InvalidOption
from service.importer.evidence import Plan
from service.importer.graph import Graph, import_onnx
from service.importer.probe import Outputs
from service.inference.backends import BackendChoice, open_backend
from service.inference.card import ArtifactFile, Card, GraphInput, describe_faults
from service.inference.families import Shape
from service.inference.golden import Golden, draw_picture, list_empty, sample_heads
from service.inference.images import Limits, decode_image
from service.inference.masks.overlay import draw_overlay
from service.inference.segmenter import open_model
from service.types import Options, Precision, Segmentation

SEED = 1
_VERSION = "1.0.0"
# A file's golden values are its own, so that only machines and runtimes differ: rounding in fp32, the sums of
# INT8 on processors with other instructions.
_TOLERANCES: dict[Precision, float] = {"fp32": 0.01, "fp16": 0.1, "int8": 0.5}


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """An import that is ready to be written.

    graph: after grafting. outputs: arrays of one run, each with a batch axis. source: the imported file.
    """

    name: str
    source: Path
    graph: Graph
    plan: Plan
    outputs: Outputs
    multiply_adds: int = 0


def check_destination(folder: Path) -> None:
    """Raises InvalidOption where the folder exists and holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidOption(f"{folder} exists already: remove it, or choose another --name or --out")


@dataclass(frozen=True, slots=True)
class Trial:
    """The card of a new model, and the instances that it finds in a photo."""

    card: Card
    found: Segmentation


def write_folder(draft: Draft, folder: Path, photo: bytes) -> Trial:
    """Writes the model folder, complete and tried on an encoded photo, or not at all.

    Raises InvalidOption where it cannot be written, InvalidImage, and ArtifactError's leaves where the model
    does not compute here.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
            made = Path(name) / folder.name
            made.mkdir()
            card = _fill(draft, made)
            found = _try_on(made, photo)
            if folder.exists():
                folder.rmdir()  # it is empty: `check_destination`
            made.rename(folder)
    except OSError as error:
        raise InvalidOption(
            f"{folder} cannot be written: {(error.strerror or str(error)).lower()}"
        ) from error
    return Trial(card, found)


def _try_on(folder: Path, photo: bytes) -> Segmentation:
    """The instances that the model finds in the photo; writes them into overlay.jpg."""
    model = open_model(folder, BackendChoice(threads=os.cpu_count() or 1))
    try:
        found = model.segment(photo, Options())
    finally:
        model.close()
    drawn = draw_overlay(decode_image(photo, Limits()), found)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
    (folder / "overlay.jpg").write_bytes(encoded.tobytes())
    return found


def _fill(draft: Draft, folder: Path) -> Card:
    card = _describe(draft, _write_model(draft, folder))
    (folder / "card.json").write_text(card.model_dump_json(indent=2, exclude_none=False) + "\n")
    (folder / "labels.txt").write_text("".join(f"{label.name}\n" for label in card.labels), "utf-8")
    (folder / "golden.json").write_text(_compute_golden(card, folder).model_dump_json(indent=1) + "\n")
    (folder / "README.md").write_text(_write_readme(draft, card), "utf-8")
    return card


def _write_model(draft: Draft, folder: Path) -> ArtifactFile:
    graph = draft.graph
    path = folder / f"model.{graph.precision}.{graph.runtime}"
    if graph.runtime == "onnx":
        import_onnx().save(graph.content, path)
    else:
        path.write_bytes(graph.content)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ArtifactFile(
        path=path.name,
        runtime=graph.runtime,
        precision=graph.precision,
        sha256=digest,
        bytes=path.stat().st_size,
        input=_describe_input(draft) if graph.runtime == "tflite" else None,
    )


def _describe_input(draft: Draft) -> GraphInput | None:
    """The numbers that a TFLite graph takes; None where they are bytes."""
    (tensor,) = draft.graph.inputs
    if tensor.dtype == "uint8":
        return None
    preparation = draft.plan.preparation
    return GraphInput(
        layout="NHWC" if (tensor.shape or ())[-1] == 3 else "NCHW",
        order=preparation.order,
        scale=preparation.scale,
        mean=preparation.mean,
        std=preparation.std,
    )


def _describe(draft: Draft, file: ArtifactFile) -> Card:
    plan = draft.plan
    try:
        return Card(
            schema_version=2,
            name=draft.name,
            version=_VERSION,
            description=f"{plan.title}, imported from {draft.source.name}.",
            network=plan.title,
            input=plan.input,
            labels=plan.labels,
            decoder=plan.decoder,
            outputs={name: _describe_output(draft, name) for name in draft.outputs},
            parameters=draft.graph.parameters,
            multiply_adds=draft.multiply_adds,
            files=(file,),
        )
    except ValidationError as error:
        raise InvalidOption(f"no card can describe this import: {describe_faults(error, 'card')}") from error


def _describe_output(draft: Draft, name: str) -> Shape:
    """The extents after the batch axis; None for the length of a list that depends on the picture."""
    declared = {tensor.name: tensor.shape for tensor in draft.graph.outputs}[name]
    count, *others = draft.outputs[name].shape[1:]
    is_free = declared is None or isinstance(declared[1], str)
    return (None if is_free and name in draft.plan.decoder.listed else count, *others)


def _compute_golden(card: Card, folder: Path) -> Golden:
    """The self-test: samples of what the file itself computes for a drawn picture."""
    (file,) = card.files
    backend = open_backend(folder, card, BackendChoice(runtime=file.runtime, precision=file.precision))
    try:
        heads = backend.run(draw_picture(card.canvas, SEED)[None])
    finally:
        backend.close()
    listed = card.decoder.listed
    return Golden(
        schema_version=1,
        seed=SEED,
        tolerance={file.precision: _TOLERANCES[file.precision]},
        samples=sample_heads(heads, SEED, listed=listed),
        empty=list_empty(heads, listed),
    )


def _write_readme(draft: Draft, card: Card) -> str:
    plan, (file,) = draft.plan, card.files
    lines = [
        f"# {card.name} {card.version}",
        f"Imported from `{draft.source.name}`: {plan.title}.",
        f"- {len(card.labels)} classes",
        f"- canvas {card.input.width} x {card.input.height}, fit {card.input.fit}",
        f"- {file.runtime} {file.precision}, {file.bytes / 1e6:.1f} MB",
        f"- {card.parameters / 1e6:.2f} M parameters",
        f"- default score threshold {card.decoder.score_threshold:g}, as in the model's own tool",
        f"- licence of the weights: {plan.licence}. Serving them does not change it.",
        "\n".join(["## Remarks", "", *(f"- {note}" for note in plan.notes)]) if plan.notes else "",
        "`golden.json` holds what this file itself computes for a drawn picture, so that a damaged file or\n"
        "a device that miscomputes is found. It does not say how well the model finds objects:\n"
        "`python -m training evaluate` measures that on your labelled pictures.",
    ]
    head, title, *rest = lines
    bullets = "\n".join(line for line in rest if line.startswith("- "))
    others = [line for line in rest if line and not line.startswith("- ")]
    return "\n\n".join([head, title, bullets, *others]) + "\n"
