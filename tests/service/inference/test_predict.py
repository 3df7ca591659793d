from pathlib import Path

import pytest

from service.errors import InvalidOption
from service.inference.predict import Job, plan_jobs


def test_without_an_output_nothing_is_drawn() -> None:
    assert plan_jobs([Path("a.jpg"), Path("b.jpg")], None) == [Job(Path("a.jpg")), Job(Path("b.jpg"))]


def test_one_image_goes_to_a_file() -> None:
    assert plan_jobs([Path("a.jpg")], Path("x.JPG")) == [Job(Path("a.jpg"), Path("x.JPG"))]


def test_a_folder_takes_one_overlay_per_image_under_names_of_their_own(tmp_path: Path) -> None:
    images = [Path("a/x.jpg"), Path("b/x.png"), Path("x-2.png"), Path("y.png")]
    names = [job.overlay.name for job in plan_jobs(images, tmp_path) if job.overlay]
    assert names == ["x.png", "x-2.png", "x-2-2.png", "y.png"]


def test_a_folder_may_have_a_dot_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "run.2"
    folder.mkdir()
    assert plan_jobs([Path("a.jpg")], folder) == [Job(Path("a.jpg"), folder / "a.png")]


@pytest.mark.parametrize(("count", "output"), [(1, "x.gif"), (1, "x.json"), (2, "x.png")])
def test_an_output_that_cannot_hold_the_overlays_is_refused(count: int, output: str) -> None:
    with pytest.raises(InvalidOption, match=output):
        plan_jobs([Path("a.jpg")] * count, Path(output))
