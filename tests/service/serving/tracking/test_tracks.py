"""Identities and classes across the frames of made-up streams."""

import random
from dataclasses import replace

import numpy as np
import pytest

from service.errors import InvalidOption
from service.frames import StreamOptions
from service.serving.tracking import TrackPolicy, Tracks, follow_instances, plan_tracking, widen_options
from service.types import Options, Size
from tests.service.serving.tracking.scene import IMAGE, Thing, drive, identify, segment


def test_a_thing_has_one_identity_from_its_second_frame_on() -> None:
    assert identify([[car] for car in drive(20)]) == [(None,)] + [(1,)] * 19


def test_a_detection_that_comes_only_once_gets_no_identity() -> None:
    car = drive(5)
    frames = [[car[0]], [car[1], Thing(400)], [car[2]], [car[3]], [car[4], Thing(400)]]
    assert identify(frames) == [(None,), (1, None), (1,), (1,), (1, None)]


@pytest.mark.parametrize("apart", [0, 3, 8])
def test_things_that_cross_keep_their_identities(apart: float) -> None:
    generator = np.random.default_rng(5)
    pairs = zip(drive(60), drive(60, start=300, speed=-5, y=100 + apart), strict=True)
    frames = [
        [
            replace(thing, x=thing.x + generator.normal(0, 0.5), score=generator.uniform(0.6, 1))
            for thing in pair
        ]
        for pair in pairs
    ]
    seen = identify(frames)
    assert {*seen[1:30], *seen[31:]} == {seen[1]}  # in frame 30 both may be in the very same place
    assert sorted(map(str, seen[1])) == ["1", "2"]


@pytest.mark.parametrize("hidden", [1, 5, 15, 28])
def test_a_thing_hidden_for_less_than_a_second_keeps_its_identity(hidden: int) -> None:
    frames: list[list[Thing]] = [[car] for car in drive(60, speed=3)]
    frames[20 : 20 + hidden] = [[]] * hidden
    assert identify(frames)[20 + hidden :] == [(1,)] * (40 - hidden)


def test_a_thing_hidden_for_longer_comes_back_as_another() -> None:
    frames: list[list[Thing]] = [[Thing(50)]] * 10 + [[]] * 35 + [[Thing(50)]] * 3
    assert identify(frames)[-3:] == [(None,), (2,), (2,)]
    assert identify(frames, TrackPolicy(memory=2))[-3:] == [(1,), (1,), (1,)]


def test_things_hidden_behind_another_come_out_as_themselves() -> None:
    crowd = [[Thing(300, label="tree"), *things] for things in zip(drive(90), drive(90, y=90), strict=True)]
    frames = [
        [thing for thing in frame if thing.label == "tree" or not 280 < thing.x < 320] for frame in crowd
    ]
    tree, *cars = identify(frames)[20]
    assert identify(frames)[-1] == (tree, *cars)


def test_a_dip_of_the_score_does_not_interrupt() -> None:
    frames = [[replace(car, score=0.15)] if 8 <= n < 20 else [car] for n, car in enumerate(drive(30))]
    assert identify(frames)[1:] == [(1,)] * 29


def test_a_score_that_just_reaches_a_threshold_counts() -> None:
    frames = [[replace(car, score=score)] for car, score in zip(drive(4), [0.5, 0.5, 0.1, 0.1], strict=True)]
    assert identify(frames, TrackPolicy(confident=0.5, doubtful=0.1)) == [(None,), (1,), (1,), (1,)]


def test_an_overlap_that_is_just_the_least_continues_a_track() -> None:
    """Boxes of 60 columns that are 40 columns apart: an IoU of 20 / 100."""
    frames = [[Thing(50, width=60)]] * 5 + [[Thing(90, width=60)]]
    assert identify(frames)[-1] == (1,)


def test_a_dip_below_everything_is_an_occlusion() -> None:
    frames = [[replace(car, score=0.05)] if 8 <= n < 20 else [car] for n, car in enumerate(drive(30))]
    assert identify(frames)[7:] == [(1,)] + [(None,)] * 12 + [(1,)] * 10


def test_doubtful_detections_alone_start_nothing() -> None:
    assert identify([[replace(car, score=0.4)] for car in drive(10)]) == [(None,)] * 10


def test_a_doubtful_detection_far_off_does_not_take_a_lost_identity() -> None:
    frames: list[list[Thing]] = [[Thing(50)]] * 5 + [[]] + [[Thing(65, score=0.3)]] + [[Thing(50)]] * 2
    assert identify(frames)[-3:] == [(None,), (1,), (1,)]


def test_a_thing_whose_label_flickers_keeps_its_identity() -> None:
    frames = [[replace(car, label="truck" if n % 5 > 2 else "car")] for n, car in enumerate(drive(20))]
    assert identify(frames)[1:] == [(1,)] * 19


def test_another_label_nearby_is_another_thing() -> None:
    frames = [[Thing(50)]] * 5 + [[Thing(60, label="truck")]] * 3
    assert identify(frames)[5:] == [(None,), (2,), (2,)]


def test_labels_that_swap_places_are_followed_by_label() -> None:
    boat, car = Thing(50, label="boat"), Thing(62)
    frames = [[boat, car]] * 5 + [[replace(boat, x=62), replace(car, x=50)]] * 3
    assert identify(frames)[1:] == [(1, 2)] * 7


def test_a_thing_that_is_seen_twice_has_one_identity() -> None:
    twice = [
        [car, replace(car, x=car.x + 2, score=0.7), replace(car, label="truck", score=0.6)]
        for car in drive(9)
    ]
    assert identify(twice)[1:] == [(1, None, None)] * 8


def test_things_that_come_to_lie_over_each_other_keep_their_identities() -> None:
    frames = [[Thing(50), Thing(max(52, 150 - 10 * n))] for n in range(20)]
    assert identify(frames)[1:] == [(1, 2)] * 19


def test_those_who_come_and_go_never_get_an_identity_twice() -> None:
    frames = [
        [car for n, car in enumerate(drive(6, speed=100)) if n <= step // 40 <= n + 1] for step in range(280)
    ]
    seen = identify(frames)
    first_seen = {identity: number for number, ids in reversed([*enumerate(seen)]) for identity in ids}
    given = sorted((number, identity) for identity, number in first_seen.items() if identity)
    assert [identity for _, identity in given] == [1, 2, 3, 4, 5, 6]


def test_frames_with_nothing_in_them_are_frames() -> None:
    assert identify([(), (), ()]) == [(), (), ()]
    assert identify([(), [Thing(5)], [Thing(5)], (), [Thing(5)]]) == [(), (None,), (1,), (), (1,)]


def test_frames_may_be_dropped() -> None:
    generator = random.Random(4)
    kept = [number for number in range(120) if number < 10 or generator.random() < 0.2]
    cars = drive(120, speed=4)
    assert max(np.diff(kept)) > 10
    seen = identify([[cars[number]] for number in kept], times=[number / 30 for number in kept])
    assert seen[1:] == [(1,)] * (len(kept) - 1)


def test_a_slow_camera_does_not_forget_between_two_frames() -> None:
    assert identify([[Thing(50 + n)] for n in range(5)], times=[0, 2, 4, 6, 8])[1:] == [(1,)] * 4


def test_a_clock_that_goes_back_stands_still() -> None:
    assert identify([[Thing(50)]] * 4, times=[100.0, 100.1, 3.0, 3.1])[1:] == [(1,)] * 3


def test_another_frame_size_starts_over_with_fresh_identities() -> None:
    tracks = Tracks()
    for number, image in enumerate([IMAGE, IMAGE, Size(240, 320), Size(240, 320)]):
        tracks, answer = follow_instances(tracks, segment([Thing(50)], image), time=number / 30)
    assert answer.instances[0].track_id == 2


def test_the_rest_of_an_answer_is_left_alone() -> None:
    told = segment([Thing(50), Thing(200, score=0.02)])
    _, answer = follow_instances(Tracks(), told, time=0)
    assert answer == told


def test_the_memory_is_a_value() -> None:
    tracks, _ = follow_instances(Tracks(), segment([Thing(50)]), time=0)
    again = [follow_instances(tracks, segment([Thing(52)]), time=1 / 30)[1] for _ in range(2)]
    assert again[0] == again[1]
    assert again[0].instances[0].track_id == 1


def test_comparing_masks_needs_masks() -> None:
    with pytest.raises(InvalidOption, match="ask for masks"):
        identify([[Thing(50)]], TrackPolicy(overlap="mask"))


@pytest.mark.parametrize(
    ("confident", "doubtful", "memory"), [(1.5, 0.1, 1), (0.5, 0.6, 1), (0.5, -0.1, 1), (0.5, 0.1, -1)]
)
def test_a_policy_that_contradicts_itself_is_refused(
    confident: float, doubtful: float, memory: float
) -> None:
    with pytest.raises(InvalidOption, match="doubtful <= confident"):
        TrackPolicy(confident, doubtful, memory)


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


def classify(labels: list[str], score: float = 0.9) -> list[tuple[str, int]]:
    """The classes that a thing is reported with, whose detections have these labels."""
    tracks, seen = Tracks(), []
    for number, label in enumerate(labels):
        frame = segment([Thing(50 + number, label=label, score=score)])
        tracks, answer = follow_instances(tracks, frame, time=number / 30)
        seen += [(one.label, one.category_id) for one in answer.instances]
    return seen


def test_a_track_has_the_label_that_most_of_its_detections_have() -> None:
    labels = ["dog", "dog", "person", "dog", "horse", "horse", "dog"]
    assert classify(labels) == [("dog", 1)] * 7


def test_a_track_changes_its_label_when_its_detections_do() -> None:
    seen = [label for label, _ in classify(["dog"] * 100 + ["fox"] * 30)]
    assert seen[:110] == ["dog"] * 110
    assert seen[-5:] == ["fox"] * 5


def test_two_detections_whose_iou_is_just_the_least_are_one_thing() -> None:
    """Boxes of 170 rows that are 30 rows apart: an IoU of 140 / 200."""
    lower = Thing(50, y=100, height=170)
    assert identify([[Thing(50, y=100, height=170), replace(lower, y=130, score=0.5)]] * 2) == [
        (None, None),
        (1, None),
    ]
