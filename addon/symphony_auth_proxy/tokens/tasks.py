"""The one place that starts asyncio tasks, and the waiting that goes with them.

asyncio itself keeps weak references only: a task that nobody holds may vanish in the
middle of its work. Time is measured by the injected clock, so that tests can turn it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from symphony_auth_proxy.clock import Clock


class Tasks:
    """Holds tasks until they are done, and ends them when their owner ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in the background. Under an eager task factory it may be done when
        this returns."""
        task = asyncio.create_task(work)  # noqa: TID251 (this is the owner that holds it)
        if not task.done():
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return task

    async def wait(self, task: asyncio.Task[None] | None, until: float) -> None:
        """Return when `task` is done, however it ended, or at the monotonic instant `until`.

        `asyncio.wait` is the shield: a caller that is cancelled here takes nothing with it,
        and the task's own cancellation or exception stays its own.
        """
        alarm = self.start(self._clock.sleep(until - self._clock.monotonic()))
        try:
            await asyncio.wait(
                {alarm} if task is None else {alarm, task},
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            alarm.cancel()

    @asynccontextmanager
    async def time_limit(self, seconds: float) -> AsyncGenerator[None]:
        """`asyncio.timeout` by the injected clock. Raises TimeoutError."""
        async with asyncio.timeout(None) as scope:

            async def ring() -> None:
                await self._clock.sleep(seconds)
                scope.reschedule(asyncio.get_running_loop().time())

            alarm = self.start(ring())
            try:
                yield
            finally:
                alarm.cancel()

    async def aclose(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        while self._running:
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running)

    def __len__(self) -> int:
        return len(self._running)
