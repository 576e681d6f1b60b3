"""The gateway's own record in Kafka: that it is there, how it is, and how far its readings are delivered.

Who reads the readings cannot tell a quiet sensor from a quiet gateway without it.
"""

import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Final, Literal

import structlog

from gateway.clock import Clock
from gateway.kafka.client import Record
from gateway.wire import VERSION, GatewayStatus, encode_gateway_status

_log = structlog.get_logger()

EVERY: Final = 10.0
"""Seconds between two records that travel with readings, which costs next to nothing."""

ALONE: Final = 30.0
"""Seconds after which one travels by itself, unless the gateway's health has changed: that is a transaction, and a fleet
of 5,000 gateways with nothing to say makes 170 of them a second."""

REFUSED_PAUSE: Final = 3600.0
"""Seconds without one after Kafka refused it: it must not hold up the readings it travels with."""

REASONS: Final = 5
REASON_LIMIT: Final = 300
"""How many reasons for its health are told, and characters of each."""

Health = Literal["healthy", "degraded", "down"]

Report = Callable[[], tuple[Health, Sequence[str]]]
"""The gateway's health, and the reasons for it."""


class Heartbeat:
    """Makes a status record when one is due. Used from the event loop's thread."""

    def __init__(self, topic: str, gateway: str, clock: Clock, report: Report) -> None:
        """`gateway` is the id, in every record and as its key."""
        self._topic = topic
        self._gateway = gateway
        self._clock = clock
        self._report = report
        self._next = self._last = -ALONE
        self._health = ""

    def move(self, topic: str) -> None:
        """They go to this topic from now on, and the next one at once: who reads it may have heard nothing yet."""
        self._topic = topic
        self._next = self._last = -ALONE

    @property
    def due(self) -> bool:
        """Whether it is time for one that travels with readings."""
        return time.monotonic() >= self._next

    @property
    def overdue(self) -> bool:
        """Whether it is time for one that travels by itself."""
        if not self.due:
            return False
        return time.monotonic() >= self._last + ALONE or self._report()[0] != self._health

    def record(self, delivered_until: int, *, stopped: bool = False) -> Record:
        """The next one: all that was received before `delivered_until` (nanoseconds since 1970 UTC) is in Kafka by then."""
        self._last = time.monotonic()
        self._next = self._last + EVERY
        health, reasons = self._report()
        self._health = health
        status = GatewayStatus(
            v=VERSION,
            gateway=self._gateway,
            version=version("iot-edge-gateway"),
            time=self._clock.now(),
            state="stopped" if stopped else "running",
            health=health,
            delivered_until=delivered_until,
            every_s=ALONE,
            reasons=tuple(reason[:REASON_LIMIT] for reason in reasons[:REASONS]),
            clock_unset=not self._clock.synchronised,
        )
        return Record(self._topic, self._gateway.encode(), encode_gateway_status(status))

    def refused(self, record: Record, reason: str) -> bool:
        """Whether `record`, which Kafka refused, is one of these: then there is none for a while, and that is said."""
        if record.topic != self._topic:
            return False
        self._next = time.monotonic() + REFUSED_PAUSE
        _log.warning(
            "gateway status refused by kafka",
            topic=self._topic,
            reason=reason,
            remedy="let this user write the topic; without it nobody can tell a quiet sensor from a quiet gateway",
        )
        return True


def summary(report: dict[str, Any]) -> tuple[Health, Sequence[str]]:
    """What a heartbeat tells of gateway.status.Status.report()."""
    return report["health"], report["reasons"]
