"""The serial line of the demo: simulated devices that talk through a real pseudo-terminal."""

import os
import pty
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from devices.simulator import Settings
from devices.simulator.faults import Truth
from devices.simulator.plant import NANO, Plant, serial_lines

_BEHIND: Final = NANO
_UNREAD: Final = 65_536
"""Bytes to hold back for a reader that does not read. Beyond, whole lines are left out, as a real device would."""


class SerialLine:
    """A pseudo-terminal that a serial source can open, and devices at its far end. A context manager.

    Args:
        name: of the source, for the truths.
        settings: of the devices.
        on_fault: told of each fault that is injected.

    Attributes:
        port: what the serial source opens; valid while the context is open.
    """

    def __init__(self, name: str, settings: Settings, on_fault: Callable[[Truth], None]) -> None:
        self.port = ""
        self._name = name
        self._settings = settings
        self._on_fault = on_fault
        self._interval = round(settings.interval * NANO)
        self._plant: Plant | None = None
        self._due = 0
        self._unsent = bytearray()

    def __enter__(self) -> Self:
        # The far end stays open here too: so the line is not hung up before gatewayd opens it, nor raw too late.
        self._devices, self._gateway = pty.openpty()
        tty.setraw(self._gateway)
        os.set_blocking(self._devices, False)
        self.port = os.ttyname(self._gateway)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._devices)
        os.close(self._gateway)

    def talk(self) -> None:
        """Say what the devices have had to say since the last call. Never blocks; called many times a second."""
        now = time.time_ns()
        if self._plant is None:
            self._plant = Plant(self._name, self._settings, now, self._on_fault)
            self._due = now
        if abs(now - self._due) > self._interval + _BEHIND:
            self._due = now
        while self._due <= now:
            lines = "".join(
                f"{line}\n" for line in serial_lines(self._plant.readings_at(self._due, self._due))
            )
            if len(self._unsent) < _UNREAD:
                self._unsent += lines.encode()
            self._due += self._interval
        self.finish()

    def finish(self) -> bool:
        """Send the rest of what was said; whether nothing is left. Never blocks."""
        with suppress(BlockingIOError):
            while self._unsent:
                del self._unsent[: os.write(self._devices, self._unsent)]
        return not self._unsent
