"""Recipes by name, and their fields, set from the command line."""

from pathlib import Path

import pytest
import typer

from training import recipes
from training.data.augment import CopyPaste
from training.lr_schedule import Cosine, LrFinderSchedule, Steps
from training.recipe import Recipe, SettingRefused, Stage, read_recipe, set_fields


def test_a_recipe_is_named_by_its_module_and_by_a_constant_in_it() -> None:
    assert read_recipe("paper_b0").schedule == LrFinderSchedule()
    assert read_recipe("paper_b0:RECIPE") is read_recipe("paper_b0")


@pytest.mark.parametrize("name", ["nonsense", "paper_b0:Recipe", "paper_b0:NOWHERE", "../x"])
def test_an_unknown_recipe_is_refused_by_name(name: str) -> None:
    with pytest.raises(typer.BadParameter, match="recipe"):
        read_recipe(name)


def test_every_module_of_recipes_holds_a_recipe() -> None:
    (folder,) = recipes.__path__
    names = [path.stem for path in Path(folder).glob("[a-z]*.py")]
    assert len(names) >= 3
    for name in names:
        read_recipe(name)


def test_fields_are_set_at_any_depth() -> None:
    recipe = set_fields(Recipe(), ["epochs=3", "losses.eps2=0", "augmentation.scale=(0.25, 4)", "hours=None"])
    assert (recipe.epochs, recipe.losses.eps2, recipe.hours) == (3, 0.0, None)
    assert recipe.augmentation is not None
    assert recipe.augmentation.scale == (0.25, 4.0)
    assert recipe.augmentation.flip


def test_what_a_field_is_made_of_is_a_dict() -> None:
    recipe = set_fields(Recipe(), ["augmentation.paste={'share': 0.25}", "stages=[{'until': 1, 'side': 64}]"])
    assert recipe.augmentation is not None
    assert recipe.augmentation.paste == CopyPaste(share=0.25)
    assert recipe.stages == (Stage(1.0, 64),)


@pytest.mark.parametrize(
    ("name", "kind"), [("cosine", Cosine()), ("steps", Steps()), ("lrfinder", LrFinderSchedule())]
)
def test_schedules_go_by_name(name: str, kind: object) -> None:
    assert set_fields(Recipe(), [f"schedule={name}"]).schedule == kind


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("epochs", "not of the form FIELD=VALUE"),
        ("epoch=3", "no field 'epoch'; there are .*epochs"),
        ("losses.eps9=3", "no field 'eps9'"),
        ("epochs=many", "epochs cannot be 'many'"),
        ("rules.centre=middle", "centre cannot be"),
        ("epochs.more=1", "has no field 'more'"),
        ("schedule=fast", "one of cosine, trapezoid, steps, lrfinder"),
    ],
)
def test_an_invalid_setting_is_refused(setting: str, reason: str) -> None:
    with pytest.raises(SettingRefused, match=reason):
        set_fields(Recipe(), [setting])
