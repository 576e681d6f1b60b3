"""What carries payloads from simulated devices to a gateway, and how it can go wrong on purpose."""

import time
from typing import Protocol

from devices.simulator.payloads import Payload


class Carrier(Protocol):
    """A connection of the simulated devices. Used from one thread; nothing here waits longer than it says.

    Attributes:
        place: where it leads, for people.
        patience: seconds without a confirmation after which, at the end, none is waited for any more.
        repeated: payloads that were sent once more because the other side had not confirmed them.
        lost: how often the connection was lost against its will.
    """

    place: str
    patience: float
    repeated: int
    lost: int

    def ready(self) -> bool:
        """Whether somebody listens, or what is sent is kept until somebody does."""

    def room(self) -> int:
        """How many payloads it takes now."""

    def send(self, payload: Payload, pause: float = 0.0) -> int:
        """Send a payload, in two pieces with a pause of so many seconds between them if it is not 0.

        Returns its bytes on the wire; 0 if it was left out because nobody takes what is sent.
        """

    def pump(self) -> None:
        """Move what can be moved now, both ways; connect again if that is due, which may take seconds."""

    def waiting(self) -> int:
        """Payloads that were sent and not yet confirmed by the other side."""

    def leave(self) -> None:
        """Break the connection without a goodbye, and do not connect again."""

    def come_back(self) -> None:
        """Connect again, when it can be."""

    def close(self) -> None:
        """End it in order. What still waits is given up."""


class Outgoing:
    """Bytes on their way out, with a pause in their middle if there has to be one."""

    def __init__(self) -> None:
        self._now = bytearray()
        self._later = bytearray()
        self._pause = 0.0
        self._until = 0.0

    def __len__(self) -> int:
        return len(self._now) + len(self._later)

    def add(self, data: bytes, pause: float = 0.0) -> None:
        """Put bytes behind the others; with a `pause` in seconds, their second half only that long after the first.

        There is one pause at a time: another one is not made before the first is over.
        """
        if self._later:
            self._later += data
        elif pause:
            half = len(data) // 2
            self._now += data[:half]
            self._later += data[half:]
            self._pause, self._until = pause, 0.0
        else:
            self._now += data

    def ready(self) -> bytearray:
        """What may go out now: take from its beginning what went."""
        if not self._now and self._later:
            now = time.monotonic()
            self._until = self._until or now + self._pause
            if now >= self._until:
                self._now, self._later = self._later, self._now
        return self._now

    def clear(self) -> None:
        """Forget all of it."""
        self._now.clear()
        self._later.clear()
