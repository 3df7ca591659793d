"""The parameters beside the tensors."""

from typing import Any

import pytest

from service.errors import InvalidOption
from service.oip.parameters import read_parameters
from service.types import Options


def test_nothing_asked_means_the_models_own() -> None:
    parameters = read_parameters("image", {})
    assert parameters.options == Options()
    assert parameters.patience_s is None


def test_everything_that_an_image_may_be_asked() -> None:
    asked = {
        "score_threshold": 0.5,
        "max_instances": 3,
        "classes": "cat, dog",
        "masks": "none",
        "timeout": 500,
        "exact": True,
    }
    parameters = read_parameters("image", asked)
    assert parameters.options == Options(0.5, 3, ("cat", "dog"), "none", True)
    assert parameters.patience_s == 0.0005


def test_numbers_may_be_text_where_a_client_has_no_others() -> None:
    assert read_parameters("image", {"score_threshold": "0.25"}).options.score_threshold == 0.25


@pytest.mark.parametrize(
    "asked",
    [
        {"score_threshold": 1.5},
        {"score_threshold": float("nan")},
        {"score_threshold": True},
        {"score_threshold": "high"},
        {"max_instances": 0},
        {"max_instances": 2.5},
        {"max_instances": True},
        {"classes": " ,"},
        {"classes": 5},
        {"masks": "polygon"},
        {"timeout": -1},
        {"timeout": 2**63},
    ],
)
def test_what_cannot_be_used_is_refused_by_name(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=next(iter(asked))):
        _ = read_parameters("image", asked).options


def test_unknown_parameters_are_ignored() -> None:
    """MLServer's and KServe's clients send some."""
    assert read_parameters("tensors", {"timeout": 2_000_000, "score_threshold": 5}).patience_s == 2
    assert read_parameters("image", {"content_type": "np", "x" * 100_000: None}).options == Options()
