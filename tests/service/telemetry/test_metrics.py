import pytest

from service import __version__
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import RequestRecord
from service.types import Answer, BackendInfo, Instance, Segmentation, Size, Timings

BACKEND = BackendInfo("onnxruntime", "1.31", "int8", 1, ("cuda", "cpu"), ("cpu",))


def test_what_was_not_asked_of_it_is_not_there() -> None:
    assert b"blitzmask_requests_total{" not in Metrics().exposition()


def test_stages_are_in_seconds_and_the_wait_for_a_slot_is_one_of_them() -> None:
    metrics = Metrics()
    timings = Timings(decode=2, prepare=1, infer=20, postprocess=1, masks=4)
    found = Segmentation(Size(1, 1), (), "m", "1", BACKEND, timings)
    metrics.answered(Answer(found, queue_ms=500).summary())
    text = metrics.exposition().decode()
    assert 'blitzmask_stage_seconds_sum{model="m",stage="infer"} 0.02' in text
    assert 'blitzmask_stage_seconds_sum{model="m",stage="queue"} 0.5' in text
    assert 'blitzmask_stage_seconds_bucket{le="0.005",model="m",stage="masks"} 1.0' in text


def test_instances_are_counted_by_label() -> None:
    metrics = Metrics()
    found = tuple(Instance(label, 1, 0.5, (0, 0, 1, 1), 1, None) for label in ("cat", "dog", "cat"))
    for _ in range(2):
        metrics.answered(Answer(Segmentation(Size(1, 1), found, "m", "1", BACKEND), 0).summary())
    text = metrics.exposition().decode()
    assert 'blitzmask_instances_total{label="cat",model="m"} 4.0' in text
    assert 'blitzmask_instances_total{label="dog",model="m"} 2.0' in text


def test_the_service_and_the_refused_models_are_told() -> None:
    metrics = Metrics()
    metrics.refused(2)
    text = metrics.exposition().decode()
    assert f'version="{__version__}"}} 1.0' in text.partition("blitzmask_build_info{")[2]
    assert "blitzmask_models_refused 2.0" in text


@pytest.mark.parametrize("reason", ["Unauthorized", "Forbidden", "ImageTooLarge", "UnsupportedMedia"])
def test_what_is_refused_at_the_door_counts_as_rejected(reason: str) -> None:
    metrics = Metrics()
    RequestRecord("rest", "7", reason).write(metrics, "POST /v1/segment")
    assert f'blitzmask_rejected_total{{reason="{reason}"}} 1.0' in metrics.exposition().decode()


def test_only_refusals_count_as_rejected_and_those_of_probes_do_not() -> None:
    metrics = Metrics()
    for outcome in ("ok", "InvalidImage", "Overloaded", "Overloaded", "DeadlineExceeded", "gone"):
        RequestRecord("rest", "7", outcome).write(metrics, "POST /v1/segment")
    RequestRecord("grpc", "7", "Overloaded").write(metrics, "SegmentStream/frame", quiet=True)
    for outcome in ("Overloaded", "NotReady"):
        RequestRecord("rest", "7", outcome).write(metrics, "GET /readyz", probe=True)
    text = metrics.exposition().decode()
    assert 'blitzmask_rejected_total{reason="Overloaded"} 3.0' in text
    assert 'blitzmask_rejected_total{reason="NotReady"}' not in text
    assert 'blitzmask_rejected_total{reason="DeadlineExceeded"} 1.0' in text
    assert "InvalidImage" not in text.partition("blitzmask_rejected_total{")[2]


def test_a_model_that_serves_no_more_stays_at_zero() -> None:
    metrics = Metrics()
    metrics.serving([("m", "1", BACKEND), ("n", "1", BACKEND)])
    metrics.serving([("n", "1", BACKEND), ("m", "2", BACKEND)])
    values = {
        (sample.labels["model"], sample.labels["version"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "blitzmask_model_info"
    }
    assert values == {("m", "1"): 0, ("n", "1"): 1, ("m", "2"): 1}


def test_a_model_is_named_with_what_was_asked_and_what_is_in_effect() -> None:
    metrics = Metrics()
    metrics.serving([("m", "1", BACKEND)])
    (line,) = [
        line
        for line in metrics.exposition().decode().splitlines()
        if line.startswith("blitzmask_model_info{")
    ]
    assert 'asked="cuda,cpu"' in line
    assert 'in_effect="cpu"' in line
    assert line.endswith(" 1.0")


def test_a_watched_value_is_read_when_it_is_scraped() -> None:
    metrics, values = Metrics(), [1.0]
    metrics.watch("blitzmask_test", "A test.", lambda: values[0])
    values[0] = 7
    assert b"blitzmask_test 7.0" in metrics.exposition()
