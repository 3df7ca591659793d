"""The options of a training run, read by name and changed by `--set`; `recipes/` has ready ones."""

import ast
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_type_hints

import typer
from pydantic import TypeAdapter, ValidationError

from training.data.augment import Augmentation
from training.data.groundtruth import TargetRules
from training.losses import LossWeights
from training.lr_schedule import Cosine, LrFinderSchedule, Schedule, Steps, StepSettings, Trapezoid
from training.networks.families import AnyArchitecture, NetworkName, name_architecture
from training.validation import Validation


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run, up to the share `until` of it.

    side: of the square canvas, pixels. upsampling: of masks before they are compared; the paper ends with 3.
    mask_cells: cells of an object at which its mask is learnt, if `rules.dense`.
    """

    until: float
    side: int
    upsampling: int = 1
    mask_cells: int = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """A training run.

    network: see `networks.families`; `neck_channels`, `backbone` and `width` are options of all networks.
    losses: of BlitzMask; the other networks have the weights of their papers.
    epochs: its length; with `LrFinderSchedule`, only an estimate for the progress bar.
    hours: its length by the clock instead, for machines of unknown speed; such a run cannot be repeated
        exactly. clock: the time on the wall, or the CPU time of the process, without its workers'.
    rate: peak learning rate; the backbone's is `backbone_rate` times as large. momentum: of SGD.
    frozen_blocks: the first backbone blocks, whose weights and statistics do not change.
    repeat_threshold: pictures of categories in a smaller share of the pictures are shown more often, see
        `training_set.repeat_factors`; 0: all are shown alike.
    mask_share: pictures with masks are this share of the pictures shown; None: their share of the data.
    trust_absence: a picture's `assumed_absent_category_ids` give negatives.
    average_decay: of the running average of the weights, which is evaluated and exported.
    init_weights: see `init_weights`; None: random weights.
    teacher: a model folder for distillation, see `teacher`; None: none.
    snapshot_minutes: of training between two copies of the averaged weights in snapshots/; None: no copies.
    validation: evaluations on the val split during the run; None: none.
    """

    network: NetworkName = "blitzmask"
    neck_channels: int = 128
    backbone: str = "mobilenet_v2"
    width: float = 1.0
    masks: bool = True
    epochs: float = 60
    hours: float | None = None
    clock: Literal["wall", "cpu"] = "wall"
    stages: tuple[Stage, ...] = (Stage(until=1.0, side=320),)
    batch_size: int = 16
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Schedule = field(default_factory=Cosine)
    rate: float = 1e-3
    momentum: float = 0.9
    backbone_rate: float = 0.5
    weight_decay: float = 0.05
    gradient_limit: float = 10.0
    frozen_blocks: int = 0
    repeat_threshold: float = 0.0
    mask_share: float | None = None
    trust_absence: bool = True
    average_decay: float = 0.998
    bfloat16: bool = True
    workers: int = 2
    seed: int = 0
    rules: TargetRules = field(default_factory=TargetRules)
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    losses: LossWeights = field(default_factory=LossWeights)
    init_weights: Path | None = None
    teacher: Path | None = None
    snapshot_minutes: float | None = None
    validation: Validation | None = None

    @property
    def peak(self) -> StepSettings:
        return StepSettings(self.rate, self.momentum)

    def architecture(self, classes: int) -> AnyArchitecture:
        return name_architecture(
            self.network,
            classes,
            backbone=self.backbone,
            width=self.width,
            channels=self.neck_channels,
            masks=self.masks,
        )


def stage_at(stages: Sequence[Stage], progress: float) -> Stage:
    """The stage at `progress`, a share of the run.

    >>> stage_at((Stage(0.7, 256), Stage(1.0, 320)), 0.7).side
    320
    """
    return next((stage for stage in stages if progress < stage.until), stages[-1])


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {"cosine": Cosine(), "trapezoid": Trapezoid(), "steps": Steps(), "lrfinder": LrFinderSchedule()}
)


class SettingRefused(ValueError):
    """A setting names an unknown field, or its value does not fit the field."""


def prepare_recipe(
    name: str,
    settings: Sequence[str],
    *,
    hours: float | None = None,
    init_weights: Path | None = None,
    teacher: Path | None = None,
) -> Recipe:
    """The named recipe with the changes from the command line; raises BadParameter."""
    recipe = read_recipe(name)
    try:
        recipe = set_fields(recipe, settings)
    except SettingRefused as error:
        raise typer.BadParameter(str(error)) from error
    recipe = replace(
        recipe,
        hours=hours or recipe.hours,
        init_weights=init_weights or recipe.init_weights,
        teacher=teacher or recipe.teacher,
    )
    if recipe.teacher is not None and recipe.network != "blitzmask":
        raise typer.BadParameter(f"only a blitzmask learns from a teacher, not a {recipe.network}")
    return recipe


def read_recipe(name: str) -> Recipe:
    """The constant `RECIPE` of a module in training/recipes, or another constant given as `module:NAME`.

    Raises BadParameter if there is no such recipe.
    """
    module, _, constant = name.partition(":")
    try:
        found = getattr(importlib.import_module(f"training.recipes.{module}"), constant or "RECIPE")
    except (ImportError, AttributeError) as error:
        raise typer.BadParameter(f"there is no recipe {name}: {error}") from error
    if not isinstance(found, Recipe):
        raise typer.BadParameter(f"{name} is not a recipe but a {type(found).__name__}")
    return found


def set_fields(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe after each `FIELD=VALUE`, in order; raises SettingRefused.

    Dots lead to fields of fields. A value is a Python literal or a plain word. A schedule is given by its
    name. A dataclass may be given as a dict: `augmentation.paste={"share": 0.3}`.

    >>> set_fields(Recipe(), ["epochs=3", "rules.centre=box", "schedule=lrfinder"]).rules.centre
    'box'
    """
    changed: Any = recipe
    for setting in settings:
        path, sign, text = setting.partition("=")
        if not sign:
            raise SettingRefused(f"{setting!r} is not of the form FIELD=VALUE")
        changed = _set_field(changed, path.strip().split("."), text.strip())
    assert isinstance(changed, Recipe)
    return changed


def _set_field(owner: Any, path: list[str], text: str) -> Any:
    name, *deeper = path
    names = [field.name for field in fields(owner)]
    if name not in names:
        raise SettingRefused(f"there is no field {name!r}; there are {', '.join(names)}")
    current = getattr(owner, name)
    if not deeper:
        return replace(owner, **{name: _read_value(owner, name, text)})
    if not is_dataclass(current) or isinstance(current, type):
        raise SettingRefused(f"{name} is {current!r}, which has no field {deeper[0]!r}")
    return replace(owner, **{name: _set_field(current, deeper, text)})


def _read_value(owner: object, name: str, text: str) -> Any:
    hint = get_type_hints(type(owner))[name]
    if hint is Schedule:
        if text not in SCHEDULES:
            raise SettingRefused(f"{name} must be one of {', '.join(SCHEDULES)}, not {text!r}")
        return SCHEDULES[text]
    try:
        return TypeAdapter(hint).validate_python(_parse(text))
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise SettingRefused(f"{name} cannot be {text!r}: {reason}") from error


def _parse(text: str) -> Any:
    """
    >>> _parse("0.5"), _parse("box"), _parse("None"), _parse("(1, 2)")
    (0.5, 'box', None, (1, 2))
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
