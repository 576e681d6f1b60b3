"""The serial line of the demo: simulated devices that talk through a real pseudo-terminal."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from devices.simulator import Settings
from devices.simulator.faults import Truth
from devices.simulator.fleet import Fleet
from devices.simulator.payloads import Form
from devices.simulator.plant import NANO, Plant
from devices.simulator.settings import models_of
from gateway.cli.simulate.line import PtyCarrier

_MOST: Final = 10_000


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
        self._fleet: Fleet | None = None

    def __enter__(self) -> Self:
        self._carrier = PtyCarrier()
        self.port = self._carrier.port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._carrier.close()

    def talk(self) -> None:
        """Say what the devices have had to say since the last call. Never blocks; called many times a second."""
        now = time.time_ns()
        if self._fleet is None:
            plant = Plant(self._name, self._settings, now, self._on_fault)
            form = Form(models_of(self._settings), "keyvalue", named=True, single=False)
            self._fleet = Fleet(plant, form, round(self._settings.interval * NANO), now)
        self._carrier.pump()  # notices that the port was opened
        for payload in self._fleet.due(now, _MOST):
            self._carrier.send(payload)
        self._carrier.pump()

    def finish(self) -> bool:
        """Send the rest of what was said; whether all of it was read. Never blocks."""
        self._carrier.pump()
        return not self._carrier.waiting()
