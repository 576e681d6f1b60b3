"""Waiting for something to become true, with a deadline, instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, deadline: float = 20.0) -> T:
    """The first true result of `condition`, asked every few milliseconds.

    Raises:
        AssertionError: not true within `deadline` seconds; `what` says what was waited for.
    """
    end = time.monotonic() + deadline
    while True:
        if result := condition():
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s in vain for: {what}")
        time.sleep(0.01)


async def eventually(condition: Callable[[], T], what: str, deadline: float = 10.0) -> T:
    """The same inside an event loop."""
    end = time.monotonic() + deadline
    while True:
        if result := condition():
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s in vain for: {what}")
        await asyncio.sleep(0.005)
