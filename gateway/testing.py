"""Fakes that ship with the gateway, so that what is built on it can be tested without a broker or a port."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from devices.errors import DecodeError
from devices.reading import Quality, Reading
from devices.source import Origin


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
        taken: readings made of them, or handed over as such. All were received at time 0.
        rejects: what must not become a reading: rejected by the source, or refused by the decoder.
        receipts: receipts in the order they came, None where there was none.
        connections: how often the link came up.
    """

    def __init__(self) -> None:
        self.payloads: list[Payload] = []
        self.taken: list[Reading] = []
        self.rejects: list[Reject] = []
        self.receipts: list[Any] = []
        self.connections = 0

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

    def connected(self) -> None:
        """See devices.source.Intake."""
        self.connections += 1
