"""A clock that stands still until a test turns it, and a loop to run it in."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any

NOON = 1_700_000_000.0
"""The wall clock at the start of every test: seconds since the epoch."""

MANY_ROUNDS = 20_000
"""Of the loop, for one moment of the clock: more than any story needs."""


class TurnedClock:
    """A `clock.Clock`. Sleepers wake in their order while the test turns it, and everything
    that a wake-up sets off has happened before the next one."""

    def __init__(self, wall: float = NOON) -> None:
        self._now = 1000.0
        self._offset = wall - self._now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def monotonic(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now + self._offset

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._numbers), awake))
        await awake

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock: what NTP, an administrator or a suspended laptop does."""
        self._offset += seconds

    async def turn(self, seconds: float) -> None:
        """Let `seconds` pass, with all that happens meanwhile."""
        until = self._now + seconds
        await settled()
        while self._sleepers and self._sleepers[0][0] <= until:
            self._now, _, awake = heapq.heappop(self._sleepers)
            if not awake.done():
                awake.set_result(None)
                await settled()
        self._now = until
        await settled()

    @property
    def sleepers(self) -> int:
        return sum(not awake.done() for _, _, awake in self._sleepers)


async def settled() -> None:
    """Return when nothing in the loop can go on without a turn of the clock."""
    # Private, but exact: callbacks that are ready to run, beside the one that resumes us.
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(MANY_ROUNDS):
        await asyncio.sleep(0)
        if not ready:
            return
    raise AssertionError("something runs round and round without waiting for anything")


class _HereAndNow(ThreadPoolExecutor):
    """Runs what is sent to a thread at once, so that no test waits for a real thread."""

    def submit[T](self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 (handed on, as an executor does)
            future.set_exception(error)
        return future


def runner(*, eager: bool = False) -> asyncio.Runner:
    """A loop with instant threads; `eager` as mitmproxy's."""

    def loop_factory() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(_HereAndNow())
        if eager:
            loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    return asyncio.Runner(loop_factory=loop_factory)


def run[T](main: Coroutine[Any, Any, T], *, eager: bool = False) -> T:
    """`asyncio.run` in such a loop."""
    with runner(eager=eager) as loop:
        return loop.run(main)
