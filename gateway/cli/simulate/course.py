"""The course of a simulation: payloads in time, troubles on purpose, everything counted."""

import time
from collections.abc import Callable
from typing import Final, Protocol

from devices.simulator import chance
from devices.simulator.faults import Schedule, Trouble, Truth, Watch
from devices.simulator.payloads import Payload
from devices.simulator.plant import NANO
from gateway.cli.simulate.carrier import Carrier
from gateway.cli.simulate.report import Injected, Report

PAUSE: Final = 0.2
"""Seconds between the two pieces of a payload that is split: longer than a gateway waits for the rest of a read."""

DRAIN: Final = 1.0
"""Seconds before a disconnection for the other side to confirm what it has, so that it is known what it has not."""

_KEY: Final = chance.key_of("garbage")


class Feed(Protocol):
    """Says payloads when they are due: a fleet, or the rows of a recording."""

    def due(self, now: int, most: int) -> list[Payload]:
        """What is said until before `now`, in nanoseconds since 1970 UTC, but not more than `most`."""


class Course:
    """Lets a feed speak through a carrier, and spoils that by a schedule.

    Args:
        source: name in the truths.
        feed, carrier: see there.
        schedule: of its entries the troubles are made here.
        on_truth: told of each trouble when it is over.

    Attributes:
        report: the counts so far, without those that only the end shows.
    """

    def __init__(
        self,
        source: str,
        feed: Feed,
        carrier: Carrier,
        schedule: Schedule | None,
        on_truth: Callable[[Truth], None],
    ) -> None:
        self.report = Report(faults={})
        self._source = source
        self._feed = feed
        self._carrier = carrier
        self._watch = Watch(schedule)
        self._on_truth = on_truth
        self._done: Trouble | None = None
        self._absence: _Absence | None = None

    def tick(self, now: int) -> int:
        """Say what is due until `now`, in nanoseconds since 1970 UTC; how many payloads that was."""
        self._carrier.pump()
        payloads = self._feed.due(now, self._carrier.room())
        for payload in payloads:
            self._say(payload)
        if self._absence is not None:
            self._mind(self._absence, now)
        self._carrier.pump()
        return len(payloads)

    def finish(self) -> None:
        """Wait until the other side has confirmed everything, or no more of it; close; count the rest."""
        carrier, report = self._carrier, self.report
        if self._absence is not None:
            self._end(self._absence)
        waiting, since = carrier.waiting(), time.monotonic()
        while waiting and time.monotonic() - since < carrier.patience:
            carrier.pump()
            time.sleep(0.005)
            if carrier.waiting() != waiting:
                waiting, since = carrier.waiting(), time.monotonic()
        report.unconfirmed, report.repeated, report.lost = carrier.waiting(), carrier.repeated, carrier.lost
        carrier.close()

    def told(self, kind: str) -> Injected:
        """The counts of one kind of fault."""
        return self.report.faults.setdefault(kind, Injected())

    def _say(self, payload: Payload) -> None:
        if self._absence is not None:
            self._absence.take(payload)
            return
        found = self._watch.at(payload.due / NANO)
        trouble = found if isinstance(found, Trouble) else None
        if trouble is None or trouble is self._done:
            self._send(payload)
        elif trouble.kind == "disconnect":
            self._done = trouble
            self._absence = _Absence(trouble, payload.due, self._sent + 1)
            self._absence.take(payload)
        else:
            self._done = trouble
            self._spoil(payload, trouble)

    def _spoil(self, payload: Payload, trouble: Trouble) -> None:
        """Send a payload garbled, cut off, or in two pieces."""
        whole = payload.data
        match trouble.kind:
            case "garbage":
                data = _garbage(payload)
                magnitude, words = float(len(data)), f"{len(data)} bytes overwritten with noise"
            case "torn":
                data = _torn(whole)
                magnitude = float(len(whole) - len(data))
                words = f"cut off after {len(data)} of {len(whole)} bytes"
            case _:
                data, magnitude, words = whole, PAUSE, f"sent in two pieces, {PAUSE:g} s apart"
        garbled = data is not whole
        size = self._send(payload._replace(data=data), 0.0 if garbled else PAUSE, garbled=garbled)
        if size:
            self._tell(
                Truth(
                    source=self._source,
                    device=payload.device,
                    sensor="",
                    kind=trouble.kind,
                    start=payload.due,
                    end=payload.due + int(PAUSE * NANO) * (not garbled),
                    magnitude=magnitude,
                    words=words,
                    payload=self._sent,
                    payloads=1,
                    readings=payload.readings,
                    bytes=size,
                )
            )

    def _send(self, payload: Payload, pause: float = 0.0, *, garbled: bool = False) -> int:
        report = self.report
        size = self._carrier.send(payload, pause)
        if not size:
            report.left_out += payload.readings
        elif garbled:
            report.garbled_payloads += 1
            report.garbled_readings += payload.readings
        else:
            report.payloads += 1
            report.readings += payload.readings
        report.bytes += size
        return size

    @property
    def _sent(self) -> int:
        return self.report.payloads + self.report.garbled_payloads

    def _mind(self, absence: "_Absence", now: int) -> None:
        """Leave once the other side has what was sent before; come back in time, and go on once somebody listens."""
        if now >= absence.trouble.end * NANO:
            self._return(absence)
            if self._carrier.ready():
                self._end(absence)
        elif not absence.away and (not self._carrier.waiting() or now > absence.start + DRAIN * NANO):
            self._carrier.leave()
            absence.away = True

    def _return(self, absence: "_Absence") -> None:
        if not absence.away:
            self._carrier.leave()
            absence.away = True
        if not absence.back:
            self._carrier.come_back()
            absence.back = True

    def _end(self, absence: "_Absence") -> None:
        self._return(absence)
        self._absence = None
        self.report.suppressed += absence.readings
        self._tell(
            Truth(
                source=self._source,
                device="",
                sensor="",
                kind=absence.trouble.kind,
                start=absence.start,
                end=absence.last + 1,
                magnitude=round((absence.last - absence.start) / NANO, 3),
                words=f"disconnected without a goodbye, {absence.payloads} payloads not sent",
                payload=absence.first,
                payloads=absence.payloads,
                readings=absence.readings,
                bytes=absence.bytes,
            )
        )

    def _tell(self, truth: Truth) -> None:
        one = self.told(truth.kind)
        one.faults += 1
        one.readings += truth.readings
        self._on_truth(truth)


class _Absence:
    """A disconnection that is on, and what is suppressed by it; the number of its first payload would have been `first`."""

    def __init__(self, trouble: Trouble, start: int, first: int) -> None:
        self.trouble = trouble
        self.start = start
        self.first = first
        self.last = start
        self.away = self.back = False
        self.payloads = self.readings = self.bytes = 0

    def take(self, payload: Payload) -> None:
        """This one is not sent."""
        self.last = payload.due
        self.payloads += 1
        self.readings += payload.readings
        self.bytes += len(payload.data)


def _garbage(payload: Payload) -> bytes:
    """As many bytes of noise: no text in UTF-8, and no line end among them."""
    number = payload.due << 16
    noise = (0x80 + int(128 * chance.uniform(_KEY, number + place)) for place in range(len(payload.data)))
    return b"\xff" + bytes(noise)[1:]


def _torn(data: bytes) -> bytes:
    """The beginning of a payload, cut where no decoder can take it for a whole one: in mid-JSON, or behind a last `=`."""
    return data[: len(data) // 2] if data.startswith(b"{") else data[: data.rindex(b"=") + 1]
