"""One compute process as the front sees it, and the template that forks it."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import structlog

from service.compute.launch import Launched, launch_template
from service.compute.task import Task
from service.compute.template import BORN, READY, REPORT, ForkPlan
from service.compute.worker import Order, Outcome, Reader, pack

TEMPLATE_S = 120.0  # for the template to import everything: a small, busy board takes a minute
BUFFER = 4_000_000  # bytes on their way to a compute process, as far as the kernel allows

log = structlog.get_logger("service.compute")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a compute process: seconds for a task and for opening a model, megabytes (0: no limit)."""

    work_s: float
    load_s: float
    memory_mb: int


class Owner(Protocol):
    """The receiver of a child's events, in the loop."""

    def done(self, child: "Child", seconds: float) -> None:
        """A task is done after so many seconds of work."""
        ...

    def lost(self, child: "Child", tasks: list[Task[Any]]) -> None:
        """The process has ended; these tasks are not done, and it may have worked on the first."""
        ...


class Child(Reader):
    """A compute process and the tasks it was sent, in their order."""

    def __init__(self, pid: int, owner: Owner, template: "Template") -> None:
        super().__init__(self._settle)
        self.pid = pid
        self.template = template
        self.tasks: deque[Task[Any]] = deque()
        self.born = self.began = time.monotonic()  # began: its first task
        self.gone = False
        self.owner = owner
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        tasks = list(self.tasks)
        self.tasks.clear()
        self.owner.lost(self, tasks)

    def send(self, task: Task[Any], *, crowded: bool) -> None:
        """Let the process run a task after those that it has; one that cannot be sent fails."""
        if self.gone:
            task.fail(ConnectionError("the compute process has ended"))
            return
        try:
            message = pack(Order(task.work, crowded, task.arrived, task.deadline))
        except Exception as error:
            task.fail(error)
            return
        if not self.tasks:
            self._begin(task)
        self.tasks.append(task)
        self._transport.write(message)

    def find_fault(self, bounds: Bounds) -> str:
        """The reason why the process has to be killed; "" where there is none."""
        state, megabytes = look_at_process(self.pid)
        if state == "T":
            return "it was stopped"
        if bounds.memory_mb and megabytes > bounds.memory_mb:
            return f"it takes {megabytes:.0f} MB, at most {bounds.memory_mb} are allowed"
        task = self.tasks[0] if self.tasks else None
        limit = bounds.work_s if task is None or task.retries else bounds.load_s
        late = task is not None and time.monotonic() - self.began > limit
        return f"its work is not done within {limit:g} s" if late else ""

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._transport.abort()

    def _begin(self, task: Task[Any]) -> None:
        task.begun = True
        self.began = time.monotonic()

    def _settle(self, message: object) -> None:
        assert isinstance(message, Outcome)
        task = self.tasks.popleft()
        if self.tasks:
            self._begin(self.tasks[0])
        if message.error is None:
            task.succeed(message.result)
        else:
            task.fail(message.error)
        self.owner.done(self, message.seconds)


class Template:
    """The template process; `ended` is told the process id and exit status of all that it forked."""

    def __init__(
        self,
        plan: ForkPlan,
        ended: Callable[[int, int], None],
        launched: Launched | None = None,
        *,
        patience_s: float = TEMPLATE_S,
    ) -> None:
        """`launched` is a template that has been started before; `patience_s`: of a wait for its answers."""
        self._patience_s = patience_s
        self._hung = False
        self._plan = plan.to_json()
        self._ended = ended
        self._ready = asyncio.get_running_loop().create_future()
        self._births: deque[asyncio.Future[int]] = deque()
        self._launched = launched or launch_template()
        self.process, self._control = self._launched.process, self._launched.control
        self._control.setblocking(False)
        asyncio.get_running_loop().add_reader(self._control, self._read)

    @property
    def alive(self) -> bool:
        """Whether it runs; a process that ends closes its socket before its end ends those that it forked."""
        if self._hung:  # where a disk does not answer, not even a kill ends it at once
            return False
        try:
            return self._control.recv(1, socket.MSG_PEEK) != b"" and self.process.poll() is None
        except BlockingIOError:
            return self.process.poll() is None
        except OSError:
            return False

    async def fork(self, owner: Owner) -> Child:
        """A new compute process; raises ConnectionError where the template has ended or hangs.

        It can hang in an import, on a file system that does not answer; it is killed then.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._fork(owner)
        except TimeoutError:
            log.error("template of compute processes hangs: it is killed", pid=self.process.pid)
            self._hung = True
            self.process.kill()
            raise ConnectionError("the template of compute processes did not answer") from None

    async def _fork(self, owner: Owner) -> Child:
        await asyncio.shield(self._ready)
        ours, theirs = socket.socketpair()
        for side in (ours, theirs):
            side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        loop = asyncio.get_running_loop()
        birth: asyncio.Future[int] = loop.create_future()
        with theirs:
            socket.send_fds(self._control, [self._plan], [theirs.fileno()])
        self._births.append(birth)
        try:
            pid = await birth
        except BaseException:
            ours.close()
            raise
        _, child = await loop.create_unix_connection(lambda: Child(pid, owner, self), sock=ours)
        return child

    def wake(self) -> None:
        """Let the template go on, where somebody has stopped it."""
        if look_at_process(self.process.pid)[0] == "T":
            log.error("template of compute processes was stopped: it is continued", pid=self.process.pid)
            self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the template, and with it all that it has forked."""
        self._give_up()
        self._launched.close()

    def _read(self) -> None:
        try:
            message = self._control.recv(REPORT.size)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._give_up()
            return
        pid, status = REPORT.unpack(message)
        if status == READY and pid == self.process.pid:
            self._ready.set_result(None)
        elif status == BORN:
            self._births.popleft().set_result(pid)
        else:
            self._ended(pid, status)

    def _give_up(self) -> None:
        asyncio.get_running_loop().remove_reader(self._control)
        gone = ConnectionError("the template of compute processes has ended")
        for waiting in (self._ready, *self._births):
            if not waiting.done():
                waiting.set_exception(gone)
                waiting.exception()  # nobody may wait for it
        self._births.clear()


def look_at_process(pid: int) -> tuple[str, float]:
    """The state of a process, T where it was stopped, and its resident megabytes; "" and 0 where unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0.0
    return fields[0], int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6
