import multiprocessing
from pathlib import Path

import pytest

from loadtest.measurement.baseline import Baseline, BaselinePlan, find_model, fit_choice, plan_baseline
from loadtest.measurement.server_info import Served
from loadtest.types import Ask, CannotRun, Photo, Target
from service.inference.backends import BackendChoice
from service.process.limits import usable_cores
from service.types import Options


@pytest.fixture
def plan(models: Path, photo: Photo) -> BaselinePlan:
    return BaselinePlan(models / "fake", BackendChoice(slots=2), Options(), (photo.data,), processes=2)


async def test_the_baseline_is_what_all_workers_do_together(plan: BaselinePlan) -> None:
    baseline = Baseline(plan)
    try:
        first, second = await baseline.measure(0.3), await baseline.measure(0.3)
    finally:
        baseline.close()
    assert first is not None
    assert second is not None
    assert first.rate > 10
    assert 0 < first.p50_ms < 1000
    assert first.rate <= 1.5 * 4 / (first.p50_ms / 1e3)  # four threads at most were at work


async def test_a_baseline_whose_process_was_killed_says_so_and_raises_nothing(plan: BaselinePlan) -> None:
    baseline = Baseline(plan)
    for child in multiprocessing.active_children():
        child.kill()
    try:
        assert await baseline.measure(0.1) is None
    finally:
        baseline.close()


def test_closing_leaves_no_process(plan: BaselinePlan) -> None:
    baseline = Baseline(plan)
    assert len(multiprocessing.active_children()) == 2
    baseline.close()
    assert multiprocessing.active_children() == []


def test_a_model_that_does_not_open_is_reported_in_one_line(plan: BaselinePlan, tmp_path: Path) -> None:
    absent = BaselinePlan(tmp_path / "absent", plan.choice, plan.options, plan.photos)
    with pytest.raises(CannotRun, match=r"card\.json") as refusal:
        Baseline(absent)
    assert "\n" not in str(refusal.value)


FAKE = Served(model="fake", version="1", runtime="onnxruntime", precision="fp32", in_effect=("cpu",))


def test_the_baseline_does_what_the_server_does_in_all_cores(models: Path, photo: Photo) -> None:
    target = Target("rest", "127.0.0.1", 1, Ask(options=Options(masks="none")))

    processes = plan_baseline("processes", models, served=FAKE, target=target, photos=(photo,))
    threads = plan_baseline("threads", models, served=FAKE, target=target, photos=(photo,))

    assert processes.folder == models / "fake"
    assert processes.options.masks == "none"
    assert processes.photos == (photo.data,)
    assert (processes.processes, processes.choice.slots) == (usable_cores(), 1)
    assert (threads.processes, threads.choice.slots) == (1, usable_cores())
    assert threads.choice.threads == 1


def test_an_image_alone_has_all_cores(models: Path, photo: Photo) -> None:
    plan = plan_baseline("alone", models, served=FAKE, target=Target("rest", "127.0.0.1", 1), photos=(photo,))
    assert (plan.processes, plan.choice.slots, plan.choice.threads) == (1, 1, usable_cores())


def test_another_machine_has_no_baseline_here(models: Path, photo: Photo) -> None:
    with pytest.raises(CannotRun, match="another machine"):
        plan_baseline("threads", models, served=FAKE, target=Target("rest", "10.0.0.9", 1), photos=(photo,))


@pytest.mark.parametrize("served", [Served("other", "1"), Served("fake", "2"), Served()])
def test_a_model_that_is_not_here_has_no_baseline(models: Path, served: Served) -> None:
    with pytest.raises(CannotRun, match="--models"):
        find_model(models, served)


def test_broken_model_folders_are_passed_over(models: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "card.json").write_text("{")
    (tmp_path / "b").symlink_to(models / "fake")
    assert find_model(tmp_path, FAKE) == tmp_path / "b"


def test_providers_and_delegates_are_those_of_the_server() -> None:
    assert fit_choice(FAKE).providers == ("cpu",)
    asked = ("libgone.so", "libedgetpu.so")
    delegated = Served("m", "1", "ai-edge-litert", "int8", asked=asked, in_effect=("libedgetpu.so", "CPU"))
    assert fit_choice(delegated).delegates == ("libedgetpu.so",)
    with pytest.raises(CannotRun, match="unknown"):
        fit_choice(Served("m", "1", "tensorflow", "fp32"))
