"""What a camera has achieved so far."""

from collections import Counter, deque

from service.camera.answered import Answered
from service.types import Segmentation

RECENT_S = 2.0
AGES = 1000


class Figures:
    """Counts of answers, their rate over the last two seconds, their ages, and everybody who was seen."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.dropped = 0
        self.age_ms = 0.0
        self.instances = 0
        self.identities: Counter[str] = Counter()
        self._highest = 0
        self._times: deque[float] = deque()
        self._ages: deque[float] = deque(maxlen=AGES)

    def count(self, answered: Answered, now: float) -> None:
        """One more answer, that came at `now`."""
        result = answered.result
        self.dropped, self.age_ms = result.dropped, result.age_ms
        self._ages.append(result.age_ms)
        self._times.append(now)
        if isinstance(result.outcome, Segmentation):
            self.answered += 1
            self._count_found(result.outcome)
        else:
            self.failed += 1

    def fps(self, now: float) -> float:
        """Answers in a second, of late."""
        while self._times and self._times[0] < now - RECENT_S:
            self._times.popleft()
        return len(self._times) / RECENT_S

    def age_quantile(self, share: float) -> float:
        """Milliseconds below which so many of the latest ages were; 0 before there are any."""
        ages = sorted(self._ages)
        return ages[min(int(share * len(ages)), len(ages) - 1)] if ages else 0.0

    def _count_found(self, found: Segmentation) -> None:
        self.instances = len(found.instances)
        # Identities are given in ascending order: what is above all before is new, and no set has to grow.
        new = [one for one in found.instances if (one.track_id or 0) > self._highest]
        self.identities.update(one.label for one in new)
        self._highest = max([self._highest, *(one.track_id or 0 for one in new)])
