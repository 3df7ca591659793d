import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import InvalidCard, SelfTestFailed
from service.inference.golden import (
    Golden,
    Sample,
    check_heads,
    draw_picture,
    list_empty,
    read_golden,
    sample_heads,
)
from service.types import Floats, Size


def make_heads() -> dict[str, Floats]:
    random = np.random.default_rng(0)
    return {
        name: random.normal(size=(1, 20, 30, count)).astype(np.float32)
        for name, count in (("a", 3), ("b", 8))
    }


def make_golden(samples: tuple[Sample, ...], tolerance: float = 1e-3) -> Golden:
    return Golden(schema_version=1, seed=1, tolerance={"fp32": tolerance}, samples=samples)


def test_the_picture_is_the_same_on_every_machine() -> None:
    picture = draw_picture(Size(64, 96), seed=3)
    assert picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [0, 70, 140]
    assert picture[40, 70].tolist() == [13, 78, 96]
    assert picture[63, 95].tolist() == [253, 244, 235]


def test_another_seed_draws_another_picture() -> None:
    assert (draw_picture(Size(64, 64), seed=1) != draw_picture(Size(64, 64), seed=2)).mean() > 0.5


def test_every_head_is_sampled_at_places_that_differ() -> None:
    heads = make_heads()
    samples = sample_heads(heads, seed=5)
    assert [sample.head for sample in samples] == ["a"] * 16 + ["b"] * 16
    assert len({(sample.head, sample.at) for sample in samples}) > 24
    for sample in samples:
        assert sample.value == heads[sample.head][0][sample.at]


def test_the_same_heads_pass_with_no_difference() -> None:
    heads = make_heads()
    assert check_heads(heads, make_golden(sample_heads(heads, seed=5)), "fp32") == 0


def test_a_difference_is_relative_to_the_value() -> None:
    golden = make_golden((Sample(head="a", at=(0, 0, 0), value=99.0),))
    heads = {"a": np.full((1, 1, 1, 1), 99.05, np.float32)}
    assert check_heads(heads, golden, "fp32") == pytest.approx(0.0005, rel=1e-3)


@pytest.mark.parametrize("fault", [0.5, -0.5, np.nan, np.inf])
def test_a_head_that_is_off_is_named_with_its_place(fault: float) -> None:
    heads = make_heads()
    samples = sample_heads(heads, seed=5)
    heads["b"][0][samples[20].at] += np.float32(fault)
    with pytest.raises(SelfTestFailed, match=re.escape(f"head b at {samples[20].at} is off")):
        check_heads(heads, make_golden(samples), "fp32")


def test_a_nan_is_not_covered_by_another_fault() -> None:
    heads = make_heads()
    samples = sample_heads(heads, seed=5)
    heads["a"][0][samples[1].at] = np.nan
    heads["b"][0][samples[30].at] += 1e6
    with pytest.raises(SelfTestFailed):
        check_heads(heads, make_golden(samples), "fp32")


@pytest.mark.parametrize(
    "sample",
    [
        Sample(head="c", at=(0, 0, 0), value=0),
        Sample(head="a", at=(20, 0, 0), value=0),
        Sample(head="a", at=(0, 0, 0, 0), value=0),
    ],
)
def test_a_sample_of_a_place_that_is_not_there_is_refused(sample: Sample) -> None:
    with pytest.raises(InvalidCard, match="does not exist"):
        check_heads(make_heads(), make_golden((sample,)), "fp32")


@pytest.mark.parametrize("shape", [(1, 5), (1, 5, 4), (1, 5, 1, 7, 7)])
def test_a_head_of_any_rank_is_sampled(shape: tuple[int, ...]) -> None:
    heads = {"a": np.random.default_rng(0).normal(size=shape).astype(np.float32)}
    samples = sample_heads(heads, seed=5)
    assert {len(sample.at) for sample in samples} == {len(shape) - 1}
    assert len({sample.at for sample in samples}) >= 5
    assert check_heads(heads, make_golden(samples), "fp32") == 0


def test_of_a_list_only_the_best_row_is_compared() -> None:
    heads = {"rows": np.random.default_rng(0).normal(size=(1, 3, 6)).astype(np.float32)}
    golden = make_golden(sample_heads(heads, seed=5, listed=["rows"]))
    assert check_heads({"rows": heads["rows"][:, :1]}, golden, "fp32") == 0
    for others in (heads["rows"][:, 1:], heads["rows"][:, :0]):
        with pytest.raises(SelfTestFailed, match="head rows"):
            check_heads({"rows": others}, golden, "fp32")


def test_a_list_that_is_empty_has_to_stay_empty() -> None:
    heads = {"rows": np.zeros((1, 0, 6), np.float32)}
    assert sample_heads(heads, seed=5, listed=["rows"]) == ()
    golden = Golden(schema_version=1, seed=1, tolerance={"fp32": 1e-3}, empty=list_empty(heads, ["rows"]))
    assert check_heads(heads, golden, "fp32") == 0
    with pytest.raises(SelfTestFailed, match="head rows, a list to be empty"):
        check_heads({"rows": np.zeros((1, 2, 6), np.float32)}, golden, "fp32")
    with pytest.raises(InvalidCard, match="names the head rows"):
        check_heads({}, golden, "fp32")


def test_a_precision_without_a_tolerance_is_refused() -> None:
    heads = make_heads()
    with pytest.raises(InvalidCard, match="no tolerance for int8"):
        check_heads(heads, make_golden(sample_heads(heads, seed=5)), "int8")


def test_golden_values_survive_their_file(tmp_path: Path) -> None:
    golden = make_golden(sample_heads(make_heads(), seed=5))
    (tmp_path / "golden.json").write_text(golden.model_dump_json())
    assert read_golden(tmp_path) == golden


SAMPLE = {"head": "a", "at": [0, 0, 0], "value": 1}
GOLDEN = {"schema_version": 1, "seed": 1, "tolerance": {}, "samples": [SAMPLE]}


@pytest.mark.parametrize(
    "content",
    [
        {},
        GOLDEN | {"seed": 0},
        GOLDEN | {"samples": []},
        GOLDEN | {"tolerance": {"fp33": 1}},
        GOLDEN | {"samples": [SAMPLE | {"at": []}]},
        GOLDEN | {"samples": [], "empty": []},
        GOLDEN | {"surprise": 1},
        GOLDEN | {"seed": 2**70},
        *[GOLDEN | {"tolerance": {"fp32": value}} for value in (math.nan, math.inf, -1, 0, 1e9)],
        *[GOLDEN | {"samples": [SAMPLE | {"value": value}]} for value in (math.nan, math.inf)],
        GOLDEN | {"samples": [SAMPLE | {"at": [0, -1, 0]}]},
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, content: Any) -> None:
    (tmp_path / "golden.json").write_text(json.dumps(content))
    with pytest.raises(InvalidCard, match=r"golden\.json"):
        read_golden(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidCard, match=r"cannot read .*golden\.json"):
        read_golden(tmp_path)
