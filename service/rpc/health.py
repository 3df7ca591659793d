"""grpc.health.v1, for the whole server and for each of its services: all are ready together."""

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from service.rpc.boundary import Context


class Health:
    """Not serving at first. Watchers are let go when it is closed: one of them would hold up a stop."""

    def __init__(self, *services: str) -> None:
        self._names = (health.OVERALL_HEALTH, *services)
        self._serving = False
        self._closed = False
        self._changed = asyncio.Condition()

    async def set_serving(self, *, now: bool) -> None:
        """Tell whoever checks or watches."""
        self._serving = now
        await self._notify()

    async def close(self) -> None:
        """Not serving any more, and nothing to watch."""
        self._serving, self._closed = False, True
        await self._notify()

    async def Check(self, request: Any, context: Context) -> Any:  # noqa: N802
        if request.service not in self._names:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service}")
        return self._describe(request.service)

    async def List(self, request: Any, context: Context) -> Any:  # noqa: N802
        return health_pb2.HealthListResponse(statuses={name: self._describe(name) for name in self._names})

    async def Watch(self, request: Any, context: Context) -> None:  # noqa: N802
        name = request.service
        while not self._closed:
            status = self._describe(name)
            await context.write(status)
            async with self._changed:  # not while it writes: a watcher that does not read holds up nobody
                while not self._closed and self._describe(name) == status:
                    await self._changed.wait()
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the service is stopping")

    def _describe(self, name: str) -> Any:
        answer = health_pb2.HealthCheckResponse
        if name not in self._names:
            return answer(status=answer.SERVICE_UNKNOWN)
        return answer(status=answer.SERVING if self._serving else answer.NOT_SERVING)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
