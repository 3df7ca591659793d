"""The command `camera`: its options become a plan."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.__main__ import main
from service.camera.plan import CameraPlan

Plan = Callable[..., CameraPlan]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Runs the command with a camera that does nothing; returns the plan that the camera received."""
    plans: list[CameraPlan] = []

    async def keep(plan: CameraPlan, console: object) -> None:
        plans.append(plan)

    def run(*arguments: str) -> CameraPlan:
        monkeypatch.setattr("service.camera.run.run_camera", keep)
        monkeypatch.setattr(sys, "argv", ["blitzmask", "camera", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        return plans.pop()

    return run


def test_a_camera_answers_the_latest_frame_and_a_recording_every_frame(plan: Plan, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    assert plan("0").request.options.policy == "latest"
    assert plan("0", "--fast").request.options.policy == "all"
    recording = plan(str(clip))
    assert (recording.request.options.policy, recording.paced) == ("all", True)
    assert not plan(str(clip), "--fast").paced


def test_one_object_gets_one_label_unless_told_otherwise(plan: Plan) -> None:
    assert plan("0").request.options.segment.nms == "all"
    assert plan("0", "--nms", "class").request.options.segment.nms == "class"


def test_options_reach_the_plan(plan: Plan) -> None:
    made = plan("0", "--wait", "--name", "door", "--out", "a.jsonl", "--out", "b.mp4", "--no-masks")
    assert (made.wait, made.camera, list(made.outputs)) == (True, "door", ["a.jsonl", "b.mp4"])
    assert made.request.options.segment.masks == "none"
    assert made.request.options.track


def test_zones_and_lines_make_a_scene_and_without_them_there_is_none(plan: Plan) -> None:
    made = plan(
        "0", "--zone", "yard=0%,0% 50%,0% 50%,50%", "--line", "gate:in=0,0 9,9", "--webhook-secret", "s"
    )
    assert made.scene is not None
    assert [zone.name for zone in made.scene.zones] == ["yard"]
    assert [line.direction for line in made.scene.lines] == ["in"]
    assert made.webhook_secret == "s"
    assert plan("0").scene is None
