"""What the application holds for its endpoints."""

from typing import Annotated, cast

from fastapi import Depends, Request

from service.engine import Engine


async def _engine(request: Request) -> Engine:
    return cast("Engine", request.app.state.engine)


EngineHeld = Annotated[Engine, Depends(_engine)]
