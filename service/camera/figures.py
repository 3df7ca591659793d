"""What a camera has achieved so far."""

from collections import Counter, deque

from service.camera.answered import Answered
from service.types import Segmentation

RECENT_S = 2.0
AGES = 1000
REMEMBERED = 1000  # identities whose label may still change


class Figures:
    """Counts of answers, their rate over the last two seconds, their ages, and everybody who was seen."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.dropped = 0
        self.age_ms = 0.0
        self.found: Counter[str] = Counter()
        self._identities: Counter[str] = Counter()
        self._labels: dict[int, Counter[str]] = {}  # by identity, the one seen last at the end
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

    @property
    def begun(self) -> bool:
        """Whether there was any answer."""
        return self.answered + self.failed > 0

    @property
    def identities(self) -> Counter[str]:
        """Everybody who was seen, each under the label they had most often."""
        return +self._identities

    def _count_found(self, found: Segmentation) -> None:
        self.found = Counter(one.label for one in found.instances)
        named = [(one.track_id, one.label) for one in found.instances if one.track_id is not None]
        for number, label in named:
            # Identities are given in ascending order: what is above all before is new.
            if number > self._highest or number in self._labels:
                self._count_identity(number, label)
        self._highest = max([self._highest, *(number for number, _ in named)])

    def _count_identity(self, number: int, label: str) -> None:
        labels = self._labels.pop(number, Counter())
        self._identities.subtract(name for name, _ in labels.most_common(1))
        labels[label] += 1
        self._identities.update(name for name, _ in labels.most_common(1))
        self._labels[number] = labels
        if len(self._labels) > REMEMBERED:  # no set has to grow
            del self._labels[next(iter(self._labels))]
