"""Which floor fits the server that answers."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast, get_args

from loadtest.clients import Photo
from loadtest.errors import CannotRun
from loadtest.floor import FloorPlan
from loadtest.probe import Served
from loadtest.targets import Target
from service.errors import InvalidCard
from service.inference.backends.base import BackendChoice, PrecisionChoice, RuntimeChoice
from service.inference.card import read_card
from service.process.limits import usable_cores

_RUNTIMES: Mapping[str, RuntimeChoice] = MappingProxyType(
    {"onnx": "onnx", "litert": "tflite", "tflite": "tflite"}
)

FloorKind = Literal["processes", "threads", "alone", "none"]


def plan_floor(
    kind: Literal["processes", "threads", "alone"],
    models_dir: Path,
    *,
    served: Served,
    target: Target,
    photos: tuple[Photo, ...],
) -> FloorPlan:
    """The work of all cores, one inference thread each, with the model and the options that the server uses.

    "alone" is one image at a time, which has all cores to itself.

    Raises CannotRun when the server is elsewhere or its model is not in `models_dir`.
    """
    if not target.is_local:
        raise CannotRun(f"{target} runs on another machine, whose floor cannot be measured from here")
    cores = usable_cores()
    slots, threads = {"processes": (1, 1), "threads": (cores, 1), "alone": (1, cores)}[kind]
    return FloorPlan(
        folder=find_model(models_dir, served),
        choice=replace(fit_choice(served), slots=slots, threads=threads),
        options=target.ask.options,
        photos=tuple(photo.data for photo in photos),
        processes=cores if kind == "processes" else 1,
    )


def find_model(models_dir: Path, served: Served) -> Path:
    """The folder of the model that the server names; raises CannotRun when there is none."""
    for path in sorted(models_dir.glob("*/card.json")):
        try:
            card = read_card(path.parent)
        except InvalidCard:
            continue
        if (card.name, card.version) == (served.model, served.version):
            return path.parent
    raise CannotRun(
        f"the server answers with model {served.model} {served.version}, which is not in {models_dir}; "
        "give --models the server's folder of models"
    )


def fit_choice(served: Served) -> BackendChoice:
    """What the server computes with; what it does not say is what this machine would choose.

    Raises CannotRun where it is unknown here.
    """
    if served.runtime is None and served.model is not None:
        return BackendChoice()
    runtime = next((ours for word, ours in _RUNTIMES.items() if word in (served.runtime or "")), None)
    if runtime is None or served.precision not in get_args(PrecisionChoice):
        raise CannotRun(f"the server computes with {served.runtime} {served.precision}, unknown here")
    delegates = tuple(name for name in served.in_effect if name != "CPU")
    return BackendChoice(
        runtime=runtime,
        precision=cast(PrecisionChoice, served.precision),
        providers=served.in_effect if runtime == "onnx" else (),
        delegates=delegates if runtime == "tflite" else (),
    )
