"""One large picture over several slots: each computes a share of its tiles, and one joins what they find."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from service.compute.task import Turn
from service.inference.detections import Findings, pack_detections, unpack_detections
from service.inference.model import Model
from service.inference.views import Share
from service.serving.admission import Admission
from service.serving.work import SegmentWork, render_answer
from service.types import BackendInfo, Options, Summary, Timings

T = TypeVar("T")

MOST_SHARES = 8  # every share decodes the picture again, so more of them save little


@dataclass(frozen=True, slots=True)
class PackedFindings:
    """The findings of a share, as the front passes them on: it reads nothing but plain values.

    waited_s: seconds that the share waited for its slot.
    """

    detections: bytes
    backend: BackendInfo
    timings: Timings
    waited_s: float


@dataclass(frozen=True, slots=True)
class SearchWork:
    """Gives the findings in a share of a picture's tiles.

    image, unpack: as in `SegmentWork`. Raises what that raises.
    """

    model: Model
    image: bytes
    options: Options
    unpack: Callable[[bytes], bytes] | None
    share: Share

    def __call__(self, turn: Turn) -> PackedFindings:
        image = self.image if self.unpack is None else self.unpack(self.image)
        # The other shares run at the same time, so this one keeps to its core.
        found = self.model.search(image, self.options, self.share, crowded=True)
        return PackedFindings(pack_detections(found.detections), found.backend, found.timings, turn.waited_s)


@dataclass(frozen=True, slots=True)
class JoinWork(Generic[T]):
    """Gives the summary of the answer, and its rendering, of the findings of all shares."""

    whole: SegmentWork[T]
    shares: tuple[PackedFindings, ...]

    @property
    def image(self) -> bytes:
        """The picture, or the body of the request that holds it."""
        return self.whole.image

    def __call__(self, turn: Turn) -> tuple[Summary, T]:
        findings = [
            Findings(unpack_detections(share.detections), share.backend, share.timings)
            for share in self.shares
        ]
        found = self.whole.model.join(findings, self.whole.options)
        return render_answer(found, self.shares[0].waited_s + turn.waited_s, self.whole.render)


def _give(work: SearchWork) -> SearchWork:
    return work


async def segment_tiles(
    admission: Admission, work: SegmentWork[T], *, deadline: float | None
) -> tuple[Summary, T]:
    """The result of a work on a picture in tiles, computed in all slots that are free now.

    Raises what `Admission.run` raises for the work itself. The request takes one place in the queue: the
    shares beside the first go to free slots, and joining them is never refused.
    """
    count = min(admission.slots - admission.running, MOST_SHARES)
    if count < 2:
        return await admission.run(work, deadline=deadline)
    search = partial(SearchWork, work.model, work.image, work.options, work.unpack)
    first, *others = (search(Share(index, count)) for index in range(count))
    admission.check()
    queued = [admission.queue(partial(_give, each)) for each in others]
    shares = await asyncio.gather(admission.run(first, deadline=deadline), *queued)
    return await admission.queue(lambda: JoinWork(work, tuple(shares)))
