"""What both transports ask of whoever calls, before anything else."""

from dataclasses import dataclass, field

from service.security.callers import Callers


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may call, and how long may be waited for them.

    origins: the sites, beside this service's own, whose pages may open live streams.
    open_metrics: whether /metrics needs no key.
    first_s, idle_s: seconds until a stream's first message, and between two of them.
    """

    callers: Callers = field(default_factory=Callers)
    origins: tuple[str, ...] = ()
    open_metrics: bool = False
    first_s: float = 10.0
    idle_s: float = 300.0


ANYBODY = Rules()
