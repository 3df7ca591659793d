import pytest

from service.errors import InvalidOption
from service.frames import StreamOptions
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
