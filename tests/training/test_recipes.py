"""The recipes and their claims."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import typer

from training.losses import LossWeights
from training.lr_schedule import LrFinderSchedule
from training.recipe import Recipe
from training.recipes import ablation, paper_b0
from training.settings import read_recipe

ROWS = ("PIECEWISE", "LRFINDER", "UPSAMPLING", "POLY", "UNIT_BOX", "DICE", "MASS_CENTRE")
CHANGED = ("schedule", "stages", "losses", "losses", "losses", "rules")


@pytest.mark.parametrize("number", range(len(CHANGED)))
def test_a_row_of_the_ablation_changes_one_thing(number: int) -> None:
    above, below = (read_recipe(f"ablation:{name}") for name in ROWS[number : number + 2])
    changed = [item.name for item in fields(Recipe) if getattr(above, item.name) != getattr(below, item.name)]
    assert changed == [CHANGED[number]]


def test_the_ablation_ends_with_the_papers_own_recipe() -> None:
    ours = replace(
        ablation.MASS_CENTRE, backbone="efficientnet_lite_b0", epochs=342, rate=paper_b0.RECIPE.rate
    )
    assert ours == paper_b0.RECIPE
    assert ablation.MASS_CENTRE.losses == LossWeights()


def test_a_recipe_is_named_by_its_module_or_by_its_place_in_one() -> None:
    assert read_recipe("paper_b0").schedule == LrFinderSchedule()
    assert read_recipe("ablation:POLY") is ablation.POLY


@pytest.mark.parametrize("name", ["nonsense", "ablation", "ablation:CENTERNET", "ablation:NOWHERE", "../x"])
def test_an_unknown_recipe_is_refused_by_name(name: str) -> None:
    with pytest.raises(typer.BadParameter, match="recipe"):
        read_recipe(name)


def test_every_recipe_is_there_to_be_read() -> None:
    modules = sorted(path.stem for path in Path(ablation.__file__).parent.glob("[a-z]*.py"))
    recipes = [read_recipe(name) for name in modules if name != "ablation"]
    assert len(recipes) >= 2
