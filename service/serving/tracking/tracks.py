"""The objects of a stream, frame after frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from service.errors import InvalidOption
from service.frames import Overlap
from service.serving.tracking.association import associate
from service.serving.tracking.track import (
    Track,
    continue_tracks,
    lose_tracks,
    move_tracks,
    sight_instance,
    start_tracks,
)
from service.types import Instance, Segmentation, Size


@dataclass(frozen=True, slots=True)
class TrackPolicy:
    """When detections are one object.

    confident: scores from here on start tracks, and are matched first.
    doubtful: scores from here on can continue a track that was seen in the frame before.
    memory: seconds for which a lost track is kept (ByteTrack: 30 frames).
    overlap: what the IoU is taken of: boxes, or masks moved along with their boxes.
    """

    confident: float = 0.5
    doubtful: float = 0.1
    memory: float = 1.0
    overlap: Overlap = "box"

    def __post_init__(self) -> None:
        if not (0 <= self.doubtful <= self.confident <= 1 and self.memory >= 0):
            raise InvalidOption(
                "tracking needs 0 <= doubtful <= confident <= 1 and a memory of 0 seconds or more, got "
                f"{self.doubtful}, {self.confident} and {self.memory}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """What a stream remembers: its tracks as of `time`, in seconds of any clock; identities start at 1."""

    policy: TrackPolicy = field(default_factory=TrackPolicy)
    tracks: tuple[Track, ...] = ()
    next_id: int = 1
    time: float | None = None
    image: Size | None = None


def follow_instances(
    tracks: Tracks, segmentation: Segmentation, *, time: float
) -> tuple[Tracks, Segmentation]:
    """The memory after one more frame, and its instances with `track_id` where it is known who they are.

    `time` is when the frame was taken, in seconds; the frames may be unevenly spaced. A clock that goes back
    counts as standing still. Where frames change their size everything is forgotten but the identities given.
    An instance has no `track_id` the first time it is seen, nor while its score is doubtful and it continues
    nothing, nor where it is a second detection of something that has one.

    Raises InvalidOption when masks are to be compared and the instances have none.
    """
    policy = tracks.policy
    sightings = [
        sight_instance(instance, segmentation.image, index=index, overlap=policy.overlap)
        for index, instance in sorted(enumerate(segmentation.instances), key=_rank)
        if instance.score >= policy.doubtful
    ]
    moved = _move_tracks(tracks, segmentation.image, time)
    found = associate(moved, sightings, segmentation.image, confident=policy.confident)
    identities = count(tracks.next_id)
    seen = continue_tracks(
        [moved[row] for row in found.tracks], [sightings[column] for column in found.sightings], identities
    )
    missed = [
        track
        for row, track in enumerate(moved)
        if row not in found.tracks and track.state != "new" and track.unseen <= policy.memory
    ]
    first_seen = [sightings[column] for column in found.fresh]
    everyone = (*seen, *lose_tracks(missed), *start_tracks(first_seen))
    after = Tracks(policy, everyone, next(identities), time, segmentation.image)
    return after, _name_instances(segmentation, seen)


def _rank(indexed: tuple[int, Instance]) -> tuple[float, str, tuple[float, ...]]:
    """Best first, whatever the order the detections come in: identities must not depend on it."""
    _, instance = indexed
    return -instance.score, instance.label, instance.bbox


def _move_tracks(tracks: Tracks, image: Size, time: float) -> Sequence[Track]:
    """Every track where it should be at `time`; none when the frames have changed their size."""
    if tracks.time is None or tracks.image != image:
        return ()
    return move_tracks(tracks.tracks, max(time - tracks.time, 0.0))


def _name_instances(segmentation: Segmentation, tracks: Sequence[Track]) -> Segmentation:
    ids = {track.sighting.index: track.id for track in tracks}
    named = (
        replace(instance, track_id=ids.get(index)) for index, instance in enumerate(segmentation.instances)
    )
    return replace(segmentation, instances=tuple(named))
