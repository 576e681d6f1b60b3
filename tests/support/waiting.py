"""Waiting on conditions, never on time."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], what: str, within: float = 10.0) -> None:
    """Return as soon as `condition()` is true; fail, saying `what` was awaited, after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        await asyncio.sleep(0.002)
