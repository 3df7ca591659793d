import pytest

from service.errors import InvalidOption
from service.serving.streaming import StreamOptions, plan_tracking, widen_options
from service.types import Options


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_frame_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(InvalidOption, match="max_fps"):
        StreamOptions(max_fps=fps)


@pytest.mark.parametrize(("field", "accepted"), [("policy", "latest, all"), ("track_overlap", "box or mask")])
def test_an_unknown_word_is_refused_with_those_that_are_known(field: str, accepted: str) -> None:
    with pytest.raises(InvalidOption, match=f"{field} is 'newest', expected .*{accepted}"):
        StreamOptions(**{field: "newest"})  # type: ignore[arg-type]  # what a client may send


def test_tracking_by_masks_without_masks_is_refused() -> None:
    with pytest.raises(InvalidOption, match="ask for masks"):
        StreamOptions(Options(masks="none"), track=True, track_overlap="mask")
    StreamOptions(Options(masks="none"), track_overlap="mask")


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_of_tracking_that_is_no_score_is_refused(threshold: float) -> None:
    with pytest.raises(InvalidOption, match="track_threshold"):
        StreamOptions(track_threshold=threshold)


def test_a_memory_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidOption, match="memory"):
        plan_tracking(StreamOptions(track=True, track_memory=-1), 0.5)


def test_a_tracker_sees_more_than_is_shown() -> None:
    options = StreamOptions(Options(score_threshold=0.5, max_instances=7), track=True)
    tracking = plan_tracking(options, 0.5)
    assert tracking is not None
    assert tracking.confident == 0.5
    assert widen_options(options.segment, tracking, 0.5) == Options(score_threshold=0.25, max_instances=7)


def test_a_tracker_may_believe_less_than_is_shown() -> None:
    options = StreamOptions(track=True, track_threshold=0.4)
    tracking = plan_tracking(options, 0.1)
    assert tracking is not None
    assert (tracking.confident, tracking.doubtful) == (0.4, 0.2)
    assert widen_options(options.segment, tracking, 0.1).score_threshold == 0.1


def test_without_tracking_nothing_is_widened() -> None:
    options = StreamOptions(Options(score_threshold=0.5))
    assert plan_tracking(options, 0.5) is None
    assert widen_options(options.segment, None, 0.5) is options.segment
