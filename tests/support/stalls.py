"""How long the event loop did not get round to anything."""

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Self

EVERY: Final = 0.002

BOUND: Final = 0.1
"""What the loop may be held up for, in seconds."""

SCHEDULED: Final = Path("/proc/thread-self/schedstat")


class _Control:
    """A second thread that looks at the clock as the loop does: when it gets nowhere either, the machine is to blame.

    Attributes:
        longest: seconds from one look to the next, the longest since it was set to 0.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="control")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        last = time.perf_counter()
        while not self._over.wait(EVERY):
            now = time.perf_counter()
            self.longest = max(self.longest, now - last)
            last = now


class Stalls:
    """Looks at the clock every few milliseconds.

    Attributes:
        longest: seconds from one look to the next, without those that were the machine's: it ran something else while this
            thread was ready to run, or another thread of this process got nowhere either.
    """

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        """Until cancelled."""
        with _Control() as control:
            last, waited = time.perf_counter(), _waited()
            while True:
                await asyncio.sleep(EVERY)
                now = time.perf_counter()
                if (gap := now - last - (_waited() - waited)) > BOUND:
                    await asyncio.sleep(10 * EVERY)  # the control may be about to say the same
                    gap -= control.longest
                self.longest = max(self.longest, gap)
                control.longest = 0.0
                last, waited = time.perf_counter(), _waited()


@contextlib.asynccontextmanager
async def no_stall() -> AsyncIterator[Stalls]:
    """Fail if the loop stalls for longer than BOUND within the block."""
    gc.collect()
    gc.freeze()  # as gatewayd does: what all the tests have made is not to be looked through in here
    stalls = Stalls()
    watch = asyncio.create_task(stalls.watch())
    try:
        yield stalls
    finally:
        await asyncio.sleep(20 * EVERY)  # so that a stall at the very end is seen
        watch.cancel()
        await asyncio.wait([watch])
        gc.unfreeze()
    assert stalls.longest < BOUND, f"the loop stalled for {stalls.longest * 1000:.0f} ms"


def _waited() -> float:
    """Seconds for which this thread was ready to run and had no processor."""
    return int(SCHEDULED.read_bytes().split()[1]) / 1e9
