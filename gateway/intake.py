"""What each source hands its input to: decodes, counts, and collects into the batch being filled."""

import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec
import structlog

from devices.errors import DecodeError
from devices.reading import Quality, Reading
from devices.source import Origin, Source
from gateway.ledger import SourceLedger
from gateway.spool import Batch
from gateway.spool.batch import READING_BYTES
from gateway.wire import VERSION, DeadLetter, flags_of, text_of

_log = structlog.get_logger()

KEPT_BYTES = 65_536
"""Bytes kept of a payload that becomes a dead letter: enough to see what it was."""

COMPLAIN_EVERY = 60.0
"""Seconds between two log lines about dead letters of one source; the ledger counts every one."""

UNDECODED: Final = "undecoded"
STRANGER: Final = "unknown device"
DAMAGED: Final = "damaged"
"""A payload that the decoder refused, that no pattern of `devices` lets in, that the source rejected."""

REMEDIES: Final = {
    UNDECODED: "check the source's decoder setting",
    STRANGER: "add the device to the source's devices if it is yours",
    DAMAGED: "correct the setting that the reason is about; if it is about none, check the line, its speed and framing",
}
"""What to do about each."""


class SourceIntake:
    """The Intake of one source (devices.source.Intake). Used from the event loop's thread only.

    Attributes:
        rejected: payloads that became dead letters, by what was wrong with them: one of the three above.
        last_reading: when the last readings came, in seconds of the monotonic clock; 0.0 before the first.
        held: whether the source heard, when it last asked, that there is no room.
        waits: whether the source yields nothing because it is made to wait; as Ingest saw it last, once a second.
        waited: when it last did, in seconds of the monotonic clock; 0.0: never.
        on_connected: hears that the link is up.
    """

    def __init__(
        self,
        source: Source,
        gateway: str,
        ledger: SourceLedger,
        batch: Callable[[Source, Any], Batch],
        ready: Callable[[], bool],
        *,
        now: Callable[[], int],
    ) -> None:
        """`batch(source, receipt)` gives the batch that takes the next payload; `gateway` is the id for dead letters.

        `ready()` says whether there is room for more; `now()` is the time of receipt.
        """
        self._ready = ready
        self.now = now
        self._source = source
        self._gateway = gateway
        self._ledger = ledger
        self._batch = batch
        self._allowed: tuple[str, ...] = ()
        self._complained = -COMPLAIN_EVERY
        self._unsaid = 0
        self.rejected = dict.fromkeys(REMEDIES, 0)
        self.last_reading = self.waited = 0.0
        self.held = self.waits = False
        self.on_connected: Callable[[], None] = lambda: None

    def allow(self, devices: Sequence[str]) -> None:
        """Take only readings of devices that match one of these shell patterns; none: of all devices."""
        self._allowed = tuple(devices)

    def payload(
        self, data: bytes, origin: Origin, receipt: Any = None, quality: Quality = Quality.GOOD
    ) -> None:
        """See devices.source.Intake."""
        try:
            readings = origin.decode(data, origin, self.now())
        except DecodeError as error:
            self._reject(self._letter(data, origin, str(error), UNDECODED, quality), receipt)
            return
        if quality:
            readings = [flagged(reading, quality) for reading in readings]
        if self._allowed and (problem := stranger(readings, self._allowed, self._source.name)):
            self._reject(self._letter(data, origin, problem, STRANGER, quality), receipt)
            return
        self.readings(readings, receipt)

    def readings(self, readings: Sequence[Reading], receipt: Any = None) -> None:
        """See devices.source.Intake."""
        ledger = self._ledger
        ledger.received += 1
        batch = self._batch(self._source, receipt)
        count = len(readings)
        if not count:
            ledger.ignored += 1
            return
        ledger.decoded += 1
        ledger.made += count
        batch.readings += readings
        batch.counts[self._source.name] += count
        first = readings[0]
        batch.size += count * (READING_BYTES + 2 * (len(first.device) + len(first.sensor)))
        if count == 1:
            value = readings[0].value
            if type(value) is str:
                batch.size += len(value)
        else:
            batch.size += sum(len(r.value) for r in readings if type(r.value) is str)
        self.last_reading = time.monotonic()

    def reject(self, data: bytes, origin: Origin, reason: str, size: int, receipt: Any = None) -> None:
        """See devices.source.Intake."""
        letter = self._letter(data, origin, reason, DAMAGED)
        self._reject(msgspec.structs.replace(letter, size=size), receipt)

    def _reject(self, letter: DeadLetter, receipt: Any) -> None:
        self._ledger.received += 1
        self._ledger.dead_lettered += 1
        self.rejected[letter.kind] += 1
        self._batch(self._source, receipt).add_letter(letter)
        self._complain(letter)

    def _letter(
        self, data: bytes, origin: Origin, reason: str, kind: str, quality: Quality = Quality.GOOD
    ) -> DeadLetter:
        kept = bytes(data[:KEPT_BYTES])
        return DeadLetter(
            VERSION,
            self._gateway,
            origin.source,
            origin.place,
            reason,
            self.now(),
            len(data),
            kept,
            text_of(kept),
            kind=kind,
            flags=flags_of(quality),
        )

    def ready(self) -> bool:
        """See devices.source.Intake."""
        room = self._ready()
        self.held = not room
        return room

    def connected(self) -> None:
        """See devices.source.Intake."""
        self.on_connected()

    def _complain(self, letter: DeadLetter) -> None:
        now = time.monotonic()
        if now - self._complained < COMPLAIN_EVERY:
            self._unsaid += 1
            return
        _log.warning(
            "dead letter",
            source=letter.source,
            place=letter.place,
            reason=letter.reason,
            size=letter.size,
            unsaid_before=self._unsaid,
            remedy=f"{REMEDIES[letter.kind]}; the payload is in the dead-letters topic",
        )
        self._complained, self._unsaid = now, 0


def stranger(readings: Sequence[Reading], allowed: Sequence[str], source: str) -> str:
    """What is wrong if one of the readings is of a device that no pattern of `allowed` lets in; empty if none is."""
    for reading in readings:
        if not any(fnmatchcase(reading.device, pattern) for pattern in allowed):
            return f"unknown device: no pattern in sources.{source}.devices matches it"
    return ""


def flagged(reading: Reading, quality: Quality) -> Reading:
    """`reading` with these flags too."""
    return Reading(
        reading.device,
        reading.sensor,
        reading.value,
        reading.time,
        reading.source,
        reading.received,
        reading.unit,
        reading.quality | quality,
    )
