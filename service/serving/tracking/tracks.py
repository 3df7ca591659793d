"""The objects of a stream, frame after frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from service.errors import InvalidOption
from service.frames import Overlap, StreamOptions
from service.serving.tracking.association import associate
from service.serving.tracking.track import (
    Track,
    continue_tracks,
    lose_tracks,
    move_tracks,
    sight_instance,
    start_tracks,
)
from service.types import Instance, Options, Segmentation, Size


@dataclass(frozen=True, slots=True)
class TrackPolicy:
    """The conditions for detections to be one object.

    confident: detections from this score on start tracks, and are matched first.
    doubtful: detections from this score on can continue a track that was seen in the frame before.
    memory: seconds for which a lost track is kept (ByteTrack: 30 frames).
    overlap: the IoU is that of boxes, or of masks that are moved along with their boxes.
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
    """The memory of a stream: its tracks at `time`, in seconds of any clock; identities start at 1."""

    policy: TrackPolicy = field(default_factory=TrackPolicy)
    tracks: tuple[Track, ...] = ()
    next_id: int = 1
    time: float | None = None
    image: Size | None = None


def follow_instances(
    tracks: Tracks, segmentation: Segmentation, *, time: float
) -> tuple[Tracks, Segmentation]:
    """The memory after one more frame, and the frame's instances with the identity and class of their tracks.

    `time` is when the frame was taken, in seconds; the frames may be unevenly spaced. A clock that goes back
    counts as standing still. Where frames change their size all tracks are forgotten, and no identity is
    given again. The class of a tracked object is the one that most of its sightings vote for. An instance has
    no `track_id` the first time it is seen, nor while its score is doubtful and it continues no track, nor
    where it is a second detection of a tracked object.

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
    """Sorts the best first: identities must not depend on the order of the detections."""
    _, instance = indexed
    return -instance.score, instance.label, instance.bbox


def _move_tracks(tracks: Tracks, image: Size, time: float) -> Sequence[Track]:
    """The tracks predicted for `time`; none where the frames have changed their size."""
    if tracks.time is None or tracks.image != image:
        return ()
    return move_tracks(tracks.tracks, max(time - tracks.time, 0.0))


def _name_instances(segmentation: Segmentation, tracks: Sequence[Track]) -> Segmentation:
    named = list(segmentation.instances)
    for track in tracks:
        place, (label, category_id) = track.sighting.index, track.kind
        named[place] = replace(named[place], track_id=track.id, label=label, category_id=category_id)
    return replace(segmentation, instances=tuple(named))


def plan_tracking(options: StreamOptions, threshold: float) -> TrackPolicy | None:
    """The policy of a stream, None without tracking; `threshold` is its score threshold."""
    if not options.track:
        return None
    confident = threshold if options.track_threshold is None else options.track_threshold
    return TrackPolicy(confident, confident / 2, options.track_memory, options.track_overlap)


def widen_options(options: Options, policy: TrackPolicy | None, threshold: float) -> Options:
    """The options to segment with: the tracker also uses detections that score below the threshold."""
    if policy is None:
        return options
    return replace(options, score_threshold=min(threshold, policy.doubtful))
