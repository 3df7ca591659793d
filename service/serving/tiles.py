"""One large picture over several slots: each computes a share of its tiles, and one joins what they find."""

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from service.compute.task import Turn
from service.inference.masks.merging import Findings
from service.inference.views import Share
from service.serving.admission import Admission
from service.serving.work import SegmentWork, render_answer
from service.types import Answer, Summary

T = TypeVar("T")

MOST_SHARES = 8  # every share decodes the picture anew, so more of them save little


@dataclass(frozen=True, slots=True)
class SearchWork:
    """Gives the findings in a share of a picture's tiles, and the seconds that it waited for its slot.

    Raises what the whole work raises.
    """

    whole: SegmentWork[None]
    share: Share

    @property
    def image(self) -> bytes:
        """The picture, or the body of the request that holds it."""
        return self.whole.image

    def __call__(self, turn: Turn) -> tuple[Findings, float]:
        whole = self.whole
        image = whole.read_image()
        # The other shares run at the same time, so this one keeps to its core.
        return whole.model.search(image, whole.options, self.share, crowded=True), turn.waited_s


@dataclass(frozen=True, slots=True)
class JoinWork(Generic[T]):
    """Gives the summary of the answer, and its rendering, of the findings in all shares."""

    whole: SegmentWork[T]
    findings: tuple[Findings, ...]
    waited_s: float

    @property
    def image(self) -> bytes:
        """The picture, or the body of the request that holds it."""
        return self.whole.image

    def __call__(self, turn: Turn) -> tuple[Summary, T]:
        found = self.whole.model.join(self.findings, self.whole.options)
        return render_answer(found, self.waited_s + turn.waited_s, self.whole.render)


def _render_nothing(answer: Answer) -> None:
    """The rendering of a share: none."""


def _give(work: SearchWork) -> SearchWork:
    return work


async def segment_tiles(
    admission: Admission, work: SegmentWork[T], *, deadline: float | None
) -> tuple[Summary, T]:
    """The result of a work on a picture in tiles, computed in all slots that are free now.

    Raises what `Admission.run` raises for the work itself. The request takes one place in the queue: the
    shares beside the first go to free slots, and joining them is never refused.
    """
    shares = min(admission.slots - admission.running, MOST_SHARES)
    if shares < 2:
        return await admission.run(work, deadline=deadline)
    plan = partial(SearchWork, replace(work, render=_render_nothing))
    works = [plan(Share(index, shares)) for index in range(shares)]
    first = asyncio.ensure_future(admission.run(works[0], deadline=deadline))
    await asyncio.sleep(0)  # it takes its slot, or is refused, before the others
    found = await asyncio.gather(first, *(admission.queue(partial(_give, each)) for each in works[1:]))
    findings = tuple(each for each, _ in found)
    return await admission.queue(lambda: JoinWork(work, findings, found[0][1]))
