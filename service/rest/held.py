"""What the application holds for its endpoints."""

from typing import Annotated, cast

from fastapi import Depends, Request

from service.security.callers import Rules
from service.serving.engine import Engine


async def _engine(request: Request) -> Engine:
    return cast("Engine", request.app.state.engine)


async def _known(request: Request) -> bool:
    rules: Rules = request.app.state.rules
    return rules.callers.knows(request.headers)


EngineHeld = Annotated[Engine, Depends(_engine)]
CallerKnown = Annotated[bool, Depends(_known)]  # or anybody may call
