"""What a device is told after every opening of its port, such as the command that makes a sensor send."""

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from devices.errors import SettingError

STUCK_AFTER: Final = 5.0
"""Seconds without any progress after which a device does not take its commands."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`{ hex = "...", wait = ... }`: bytes that are no text, or a pause, or a pause and then bytes.

    Attributes:
        hex: the bytes, in hex.
        wait: seconds before they are sent.
    """

    hex: str = ""
    wait: Annotated[float, Meta(ge=0, le=60)] = 0.0


class Step(NamedTuple):
    """Wait so many seconds, then send these bytes."""

    wait: float
    data: bytes


def compose(startup: Sequence[str | Command], key: str) -> list[Step]:
    """The steps that the setting at `key` means. What is in them may be secret: no message quotes it.

    Raises:
        SettingError: what should be hex is not, or a command is empty.
    """
    return [_step(command, f"{key}.{number}") for number, command in enumerate(startup)]


async def send(fd: int, steps: Sequence[Step]) -> None:
    """Take the steps, in order, over a descriptor that does not block. Not even a full line blocks the event loop.

    Raises:
        OSError: the line is gone, or took nothing for STUCK_AFTER.
    """
    for wait, data in steps:
        await asyncio.sleep(wait)
        rest = data
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                await _room(fd)


def _step(command: str | Command, key: str) -> Step:
    if isinstance(command, str):
        step = Step(0.0, command.encode())
    else:
        try:
            step = Step(command.wait, bytes.fromhex(command.hex))
        except ValueError:
            problem = 'is not allowed: bytes are written in hex, such as "0d 0a" for CR LF'
            raise SettingError(f"{key}.hex", problem) from None
    if not step.wait and not step.data:
        raise SettingError(key, 'is empty; allowed: "text\\r\\n", { hex = "0d 0a" }, { wait = 1.5 }')
    return step


async def _room(fd: int) -> None:
    """Wait until the line takes more.

    Raises:
        OSError: it does not.
    """
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        async with asyncio.timeout(STUCK_AFTER):
            await ready.wait()
    except TimeoutError:
        raise TimeoutError(
            f"it has taken nothing of its start-up commands for {STUCK_AFTER:g} s: is flow control on, and the device?"
        ) from None
    finally:
        loop.remove_writer(fd)
