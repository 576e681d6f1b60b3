"""Pours lines to a client of the control socket that reads them as fast as it can, or not at all: they wait elsewhere."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from gateway.control import REQUEST_TIMEOUT


class Tank(Protocol):
    """Where the lines wait, within bounds.

    Attributes:
        on_line: called when there is something to take.
    """

    on_line: Callable[[], None]

    def take(self) -> bytes:
        """The lines that come next, a few tens of kilobytes of them; nothing if there are none."""


def end_of(reader: asyncio.StreamReader) -> asyncio.Task[None]:
    """What is done when the other side closes its half, or sends anything."""
    return asyncio.create_task(_heard(reader), name="end of a stream")


async def pour(tank: Tank, enough: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
    """Send what is in the tank, and what comes into it, until `enough` is done or cancelled.

    Raises:
        OSError: the other side is gone.
    """
    more = asyncio.Event()
    tank.on_line = more.set
    enough.add_done_callback(lambda _: more.set())
    try:
        while not enough.done():
            more.clear()
            await _send(tank, writer)
            await more.wait()
    finally:
        enough.cancel()


async def pour_out(tank: Tank, writer: asyncio.StreamWriter) -> None:
    """Send what is left in the tank.

    Raises:
        OSError: the other side is gone, or, as TimeoutError, takes too long.
    """
    async with asyncio.timeout(REQUEST_TIMEOUT):
        await _send(tank, writer)


async def _heard(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):  # gone is also an end
        await reader.read(1)


async def _send(tank: Tank, writer: asyncio.StreamWriter) -> None:
    while lines := tank.take():
        writer.write(lines)
        await writer.drain()
