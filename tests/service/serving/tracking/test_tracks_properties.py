"""Properties that hold for any stream."""

import random

import hypothesis
from hypothesis import strategies as st

from tests.service.serving.tracking.scene import Thing, identify

things = st.builds(
    Thing,
    x=st.floats(0, 600),
    y=st.floats(0, 400),
    width=st.floats(0, 200),
    height=st.floats(0, 200),
    label=st.sampled_from(["car", "person"]),
    score=st.floats(0, 1),
)
streams = st.lists(
    st.lists(things, max_size=6, unique_by=lambda thing: (-thing.score, thing.label, thing.x, thing.y)),
    max_size=8,
)


@hypothesis.given(streams, st.randoms(use_true_random=False))
def test_the_order_of_the_detections_does_not_matter(
    frames: list[list[Thing]], chance: random.Random
) -> None:
    # The same few things again and again, so that there is something to follow.
    frames = [frame + (frames[0] if frames else []) for frame in frames]
    frames = [list(dict.fromkeys(frame)) for frame in frames]
    orders = [chance.sample(range(len(frame)), len(frame)) for frame in frames]
    shuffled = [[frame[place] for place in order] for frame, order in zip(frames, orders, strict=True)]
    expected = [
        tuple(ids[place] for place in order) for ids, order in zip(identify(frames), orders, strict=True)
    ]
    assert identify(shuffled) == expected


@hypothesis.given(streams, st.lists(st.floats(-10, 1e6), min_size=8, max_size=8))
def test_identities_are_unique_in_a_frame_and_new_ones_the_highest(
    frames: list[list[Thing]], times: list[float]
) -> None:
    given: set[int] = set()
    for frame, ids in zip(frames, identify(frames, times=times[: len(frames)]), strict=True):
        known = [identity for identity in ids if identity is not None]
        fresh = sorted(set(known) - given)
        assert len(set(known)) == len(known)
        assert fresh == list(range(len(given) + 1, len(given) + 1 + len(fresh)))
        given.update(fresh)
        for thing, identity in zip(frame, ids, strict=True):
            assert identity is None or thing.score >= 0.1
