"""A thread for calls that wait for Kafka, and that may never return."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class HangError(Exception):
    """A call did not return in time. Its thread was left behind, with whatever it holds."""


class Worker:
    """Does one call after the other in a thread of its own. Used from one event loop.

    Some calls of the client overlook their timeout (send_offsets_to_transaction waits for ever when its coordinator
    restarts at the wrong moment). So each gets a deadline here, and a thread that misses it is replaced. The threads
    hold up no exit.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] | None = None

    async def call(self, within: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns or raises, after the calls before it.

        Raises:
            HangError: it had not returned after `within` seconds.
        """
        if self._jobs is None:
            self._jobs = SimpleQueue()
            threading.Thread(target=_run, args=(self._jobs,), name="kafka", daemon=True).start()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        self._jobs.put((loop, result, lambda: work(*args, **kwargs)))
        try:
            async with asyncio.timeout(within):
                return await result
        except TimeoutError:
            if (
                not result.cancelled()
            ):  # the call itself raised it, or came back while the loop stalled past the deadline
                return result.result()
            self.end()
            raise HangError(f"the Kafka client did not come back in {within:.0f} s") from None
        finally:
            del result  # it holds the error, which holds this frame: a cycle, and with it a whole client and its threads

    def end(self) -> None:
        """Let the thread end once its present call returns."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None


def _run(jobs: "SimpleQueue[_Job | None]") -> None:
    while (job := jobs.get()) is not None:
        loop, result, work = job
        try:
            value, error = work(), None
        except BaseException as raised:  # noqa: BLE001 - it is raised where it was asked for
            value, error = None, raised
        try:
            loop.call_soon_threadsafe(_settle, result, value, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return
        del job, result, work, value, error  # what a call held must not live until the next one


def _settle(result: "asyncio.Future[Any]", value: object, error: BaseException | None) -> None:
    if result.done():
        return
    if error is not None:
        result.set_exception(error)
    else:
        result.set_result(value)
