"""The descriptions of models in the protocol."""

import pytest

from service.errors import ModelNotFound
from service.oip.models import (
    BATCH_LIMIT,
    INSTANCES,
    configure_view,
    describe_view,
    find_view,
    index_models,
    list_views,
    select_views,
)
from tests.fakes import HEADS, FakeCatalog, FakeModel

CATALOG = FakeCatalog(
    FakeModel("toy", "2"),
    FakeModel("toy", "1"),
    FakeModel("other"),
    failures={"bad/3": "its hash is wrong"},
    unloaded=("idle",),
)


def test_every_model_has_two_names() -> None:
    names = [view.key for view in list_views(CATALOG)]
    assert names[:2] == [("toy", "2"), ("toy.tensors", "2")]
    assert len(set(names)) == 6


@pytest.mark.parametrize("name", ["", "toy", "toy.tensors"])
def test_the_newest_version_answers_unless_told(name: str) -> None:
    assert find_view(CATALOG, name, "").version == "2"
    assert find_view(CATALOG, name, "1").version == "1"


@pytest.mark.parametrize(
    ("name", "version"), [("none", None), ("none.tensors", ""), ("toy", "9"), ("toy.tensor", "")]
)
def test_an_unknown_name_or_version_is_refused(name: str, version: str | None) -> None:
    with pytest.raises(ModelNotFound):
        find_view(CATALOG, name, version)


def test_all_are_selected_where_none_is_named() -> None:
    assert select_views(CATALOG, "", "") == list_views(CATALOG)
    assert [view.name for view in select_views(CATALOG, "other", "")] == ["other"]


def test_versions_are_those_of_the_name() -> None:
    assert describe_view(find_view(CATALOG, "toy.tensors", "1"), CATALOG)["versions"] == ["2", "1"]


def test_an_image_goes_in_and_instances_come_out() -> None:
    described = describe_view(find_view(CATALOG, "toy", ""), CATALOG)
    assert described["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [1]}]
    assert described["outputs"] == [
        {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)} for spec in INSTANCES
    ]
    assert configure_view(find_view(CATALOG, "toy", ""))["max_batch_size"] == 0


def test_the_batch_axis_is_in_the_metadata_and_not_in_the_configuration() -> None:
    view = find_view(CATALOG, "toy.tensors", "")
    described, configured = describe_view(view, CATALOG), configure_view(view)
    assert described["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
    assert configured["max_batch_size"] == BATCH_LIMIT
    assert configured["input"] == [{"name": "pixels", "data_type": "TYPE_UINT8", "dims": [32, 32, 3]}]
    assert configured["output"] == [
        {"name": name, "data_type": "TYPE_FP32", "dims": [8, 8, channels]} for name, channels in HEADS.items()
    ]
    assert configured["parameters"] == {"labels": {"string_value": '["cat", "dog"]'}}


def test_the_index_tells_what_does_not_answer_and_why() -> None:
    everything = index_models(CATALOG, ready_only=False)
    assert everything[6:] == [
        {"name": name, "version": version, "state": "UNAVAILABLE", "reason": reason}
        for place, version, reason in (("bad", "3", "its hash is wrong"), ("idle", "", "unloaded"))
        for name in (place, f"{place}.tensors")
    ]
    assert index_models(CATALOG, ready_only=True) == everything[:6]
    assert {entry["state"] for entry in everything[:6]} == {"READY"}
