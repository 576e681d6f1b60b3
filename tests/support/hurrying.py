"""An event loop that does not wait: where there is nothing to do before a certain time, it is that time at once."""

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_REAL: Final = time.monotonic


class _Selector(selectors.DefaultSelector):
    """Does not wait for timers while `idle()` says that nobody else is at work."""

    def __init__(self, idle: Callable[[], bool], skip: Callable[[float], None]) -> None:
        super().__init__()
        self._idle = idle
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0 or not self._idle():
            return super().select(timeout)
        events = super().select(0)
        if not events:
            self._skip(timeout)
        return events


class HurryingLoop(asyncio.SelectorEventLoop):
    """While `hurry` is set, time runs as ever while somebody works, threads of the loop included, and waiting is skipped.

    `time.monotonic` goes along; see hurried().

    Attributes:
        hurry: may be changed at any time.
        skipped: seconds that nobody waited for so far.
    """

    def __init__(self) -> None:
        self.hurry = True
        self.skipped = 0.0
        self._working = 0
        super().__init__(_Selector(lambda: self.hurry and not self._working, self._skip))

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """See the base class."""
        future = super().run_in_executor(executor, func, *args)
        self._working += 1
        future.add_done_callback(self._done)
        return future

    def _done(self, _: "asyncio.Future[Any]") -> None:
        self._working -= 1

    def _skip(self, seconds: float) -> None:
        self.skipped += seconds


@contextmanager
def hurried() -> Iterator[HurryingLoop]:
    """A HurryingLoop whose clock is the monotonic clock of the whole process; closed at the end."""
    loop = HurryingLoop()

    def monotonic() -> float:
        return _REAL() + loop.skipped

    time.monotonic = monotonic
    try:
        yield loop
    finally:
        time.monotonic = _REAL
        loop.close()
