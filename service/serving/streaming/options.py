"""How a stream wants its frames answered."""

from dataclasses import replace

from service.frames import StreamOptions
from service.serving.tracking import TrackPolicy
from service.types import Options


def plan_tracking(options: StreamOptions, threshold: float) -> TrackPolicy | None:
    """How to track where that is asked for; `threshold` is the score from which instances are wanted."""
    if not options.track:
        return None
    confident = threshold if options.track_threshold is None else options.track_threshold
    return TrackPolicy(confident, confident / 2, options.track_memory, options.track_overlap)


def widen_options(options: Options, tracking: TrackPolicy | None, threshold: float) -> Options:
    """The options to segment with: a tracker also wants to see what is doubtful."""
    return (
        options if tracking is None else replace(options, score_threshold=min(threshold, tracking.doubtful))
    )
