"""A recipe by its name, with some of its fields set anew, as `--set losses.eps2=0` says it."""

import ast
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

import typer
from pydantic import TypeAdapter, ValidationError

from training.course import Cosine, Found, Schedule, Steps, Trapezoid
from training.recipe import Recipe

SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {"cosine": Cosine(), "trapezoid": Trapezoid(), "steps": Steps(), "lrfinder": Found()}
)


class SettingRefused(ValueError):
    """There is no such field, or it does not take that value."""


def prepare_recipe(name: str, settings: Sequence[str], *, hours: float | None, origin: Path | None) -> Recipe:
    """The named recipe with what the command line changes of it; raises BadParameter."""
    recipe = read_recipe(name)
    try:
        recipe = set_fields(recipe, settings)
    except SettingRefused as error:
        raise typer.BadParameter(str(error)) from error
    return replace(recipe, hours=hours or recipe.hours, origin=origin or recipe.origin)


def read_recipe(name: str) -> Recipe:
    """The recipe `RECIPE` of a module of training/recipes, or `module:NAME` for another of its constants.

    Raises BadParameter when there is none of that name.
    """
    module, _, constant = name.partition(":")
    try:
        found = getattr(importlib.import_module(f"training.recipes.{module}"), constant or "RECIPE")
    except (ImportError, AttributeError) as error:
        raise typer.BadParameter(f"there is no recipe {name}: {error}") from error
    if not isinstance(found, Recipe):
        raise typer.BadParameter(f"{name} is no recipe but a {type(found).__name__}")
    return found


def set_fields(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with each `FIELD=VALUE` applied in turn; raises SettingRefused.

    Dots lead into fields of fields. Values are Python's or plain words; a schedule goes by its name, and what
    a field is made of may be given as a dict: `augmentation.paste={"share": 0.3}`.

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
        raise SettingRefused(f"there is no field {name!r}, only {', '.join(names)}")
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
            raise SettingRefused(f"{name} is one of {', '.join(SCHEDULES)}, not {text!r}")
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
