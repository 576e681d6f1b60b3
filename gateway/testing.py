"""Fakes for tests of sources and of what uses them, so that they need no broker and no port."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from devices.errors import DecodeError, SourceError
from devices.reading import Quality, Reading
from devices.source import Intake, Origin


class Payload(NamedTuple):
    """What a source handed to Intake.payload."""

    data: bytes
    origin: Origin
    receipt: Any
    quality: Quality


class Reject(NamedTuple):
    """What a source handed to Intake.reject, or a payload that its decoder refused, with the decoder's words."""

    data: bytes
    origin: Origin
    reason: str
    size: int
    receipt: Any


class RecordingIntake:
    """A devices.source.Intake that keeps everything in memory, without bound.

    Attributes:
        payloads: payloads in the order they came, decodable or not.
        taken: readings made of them, received at time 0; or handed over as such.
        rejects: what must not become a reading: rejected by the source, or refused by the decoder.
        receipts: receipts in the order they came, None where there was none.
        connections: how often the link came up.
        has_room: what ready() says.
        ahead: nanoseconds by which its clock is ahead of the machine's.
    """

    def __init__(self) -> None:
        self.payloads: list[Payload] = []
        self.taken: list[Reading] = []
        self.rejects: list[Reject] = []
        self.receipts: list[Any] = []
        self.connections = 0
        self.has_room = True
        self.ahead = 0

    @property
    def lines(self) -> list[bytes]:
        """The bytes of the payloads."""
        return [payload.data for payload in self.payloads]

    def payload(
        self, data: bytes, origin: Origin, receipt: Any = None, quality: Quality = Quality.GOOD
    ) -> None:
        """See devices.source.Intake."""
        self.receipts.append(receipt)
        self.payloads.append(Payload(data, origin, receipt, quality))
        try:
            self.taken.extend(origin.decode(data, origin, 0))
        except DecodeError as error:
            self.rejects.append(Reject(data, origin, str(error), len(data), receipt))

    def readings(self, readings: Sequence[Reading], receipt: Any = None) -> None:
        """See devices.source.Intake."""
        self.receipts.append(receipt)
        self.taken.extend(readings)

    def reject(self, data: bytes, origin: Origin, reason: str, size: int, receipt: Any = None) -> None:
        """See devices.source.Intake."""
        self.receipts.append(receipt)
        self.rejects.append(Reject(data, origin, reason, size, receipt))

    def ready(self) -> bool:
        """See devices.source.Intake."""
        return self.has_room

    def now(self) -> int:
        """See devices.source.Intake."""
        return time.time_ns() + self.ahead

    def connected(self) -> None:
        """See devices.source.Intake."""
        self.connections += 1


class ScriptedSource:
    """A source that does what the test says: each run() follows the next script, the last one for ever.

    A script gets the intake; it may hand over payloads, raise a SourceError, or return, which means to stay
    connected and silent until cancelled.

    Attributes:
        runs: how often run() was called.
        intake: what the present run() hands over to; None outside of run().
        heard: receipts that safe() got, in order.
        closed: whether close() was called.
        counts: what the test puts there.
    """

    def __init__(self, *scripts: Callable[[Intake], None], name: str = "scripted") -> None:
        self.name = name
        self.window = 0
        self.runs = 0
        self.intake: Intake | None = None
        self.heard: list[Any] = []
        self.closed = False
        self.counts: dict[str, int] = {}
        self._scripts = scripts

    async def run(self, intake: Intake) -> None:
        """See devices.source.Source."""
        script = self._scripts[min(self.runs, len(self._scripts) - 1)]
        self.runs += 1
        self.intake = intake
        try:
            script(intake)
            await asyncio.Event().wait()
        finally:
            self.intake = None

    def safe(self, receipts: Sequence[Any]) -> None:
        """See devices.source.Source."""
        self.heard += receipts

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        """See devices.source.Source."""

    async def close(self) -> None:
        """See devices.source.Source."""
        self.closed = True


def connects(intake: Intake) -> None:
    """A script: the link comes up, and nothing is said."""
    intake.connected()


def fails_with(error: SourceError) -> Callable[[Intake], None]:
    """A script: the link does not come up, or breaks, with this error."""

    def script(_: Intake) -> None:
        raise error

    return script
