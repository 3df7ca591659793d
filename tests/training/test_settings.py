"""Fields of a recipe, set from the command line."""

import pytest

from training.data.augment import CopyPaste
from training.lr_schedule import Cosine, LrFinderSchedule, Steps
from training.recipe import Recipe, Stage
from training.recipes import ablation
from training.settings import SettingRefused, set_fields


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
    ("above", "settings", "row"),
    [
        ("PIECEWISE", ["schedule=lrfinder"], "LRFINDER"),
        ("LRFINDER", ["stages=[{'until':1,'side':320},{'until':2,'side':320,'upsampling':3}]"], "UPSAMPLING"),
        ("UPSAMPLING", ["losses.eps2=-0.05"], "POLY"),
        ("POLY", ["losses.l1=0.05", "losses.iou=1.5"], "UNIT_BOX"),
        ("UNIT_BOX", ["losses.cross_entropy=0.5", "losses.dice=2.5"], "DICE"),
        ("DICE", ["rules.centre=mass"], "MASS_CENTRE"),
    ],
)
def test_every_row_of_the_ablation_is_an_option_away_from_the_one_above(
    above: str, settings: list[str], row: str
) -> None:
    assert set_fields(getattr(ablation, above), settings) == getattr(ablation, row)


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
