"""A recipe by its name, with fields changed by `--set`, for example `--set losses.eps2=0`."""

import ast
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

import typer
from pydantic import TypeAdapter, ValidationError

from training.lr_schedule import Cosine, LrFinderSchedule, Schedule, Steps, Trapezoid
from training.recipe import Recipe

SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {"cosine": Cosine(), "trapezoid": Trapezoid(), "steps": Steps(), "lrfinder": LrFinderSchedule()}
)


class SettingRefused(ValueError):
    """A setting names an unknown field, or its value does not fit the field."""


def prepare_recipe(
    name: str, settings: Sequence[str], *, hours: float | None, init_weights: Path | None
) -> Recipe:
    """The named recipe with the changes from the command line; raises BadParameter."""
    recipe = read_recipe(name)
    try:
        recipe = set_fields(recipe, settings)
    except SettingRefused as error:
        raise typer.BadParameter(str(error)) from error
    return replace(recipe, hours=hours or recipe.hours, init_weights=init_weights or recipe.init_weights)


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
    name, and
    a field that is a dataclass may be given as a dict: `augmentation.paste={"share": 0.3}`.

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
