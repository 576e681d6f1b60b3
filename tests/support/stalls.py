"""How long the event loop did not get round to anything."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

EVERY: Final = 0.002

BOUND: Final = 0.1
"""What the loop may be held up for, in seconds."""

SCHEDULED: Final = Path("/proc/thread-self/schedstat")


class Stalls:
    """Looks at the clock every few milliseconds.

    Attributes:
        longest: seconds from one look to the next, without those for which the machine ran something else while this
            thread was ready to run: a busy machine is no stall of ours.
        working: seconds of it for which this thread had a processor.
    """

    def __init__(self) -> None:
        self.longest = self.working = 0.0

    async def watch(self) -> None:
        """Until cancelled."""
        last, last_worked, last_delay = time.perf_counter(), *_scheduled()
        while True:
            await asyncio.sleep(EVERY)
            now, worked, delay = time.perf_counter(), *_scheduled()
            gap = now - last - (delay - last_delay)
            if gap > self.longest:
                self.longest, self.working = gap, worked - last_worked
            last, last_worked, last_delay = now, worked, delay


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
        await asyncio.sleep(2 * EVERY)  # so that a stall at the very end is seen
        watch.cancel()
        await asyncio.wait([watch])
        gc.unfreeze()
    took, working = stalls.longest * 1000, stalls.working * 1000
    assert stalls.longest < BOUND, f"the loop stalled for {took:.0f} ms, {working:.0f} ms of it at work"


def _scheduled() -> tuple[float, float]:
    """Seconds for which this thread had a processor, and for which it was ready to run and had none."""
    worked, delay, _ = SCHEDULED.read_bytes().split()
    return int(worked) / 1e9, int(delay) / 1e9
