"""Where a command runs."""

import asyncio
from dataclasses import dataclass

from loadtest.progress import Progress


@dataclass(frozen=True, slots=True)
class Scene:
    """Who watches, and who may stop it."""

    progress: Progress
    stop: asyncio.Event
