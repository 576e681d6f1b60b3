"""Counts what became of every numbered reading. Knows nothing of the gateway but the contract of its topics.

What may be missing or come twice, and why:

- MQTT before the spool: a broker that did not hear the acknowledgement sends a message again, marked as such or, if it
  was killed itself, not. Each time it does is on record (`fresh`, `again`), and only so many repetitions are excused.
- A broker that was killed forgets what it had not written; nobody but the publisher had it. A column of its own.
- A serial line cannot be asked again: what was younger than the bound at a kill or hang-up is counted as unsafe.
- A fault that damages a frame, or brings back an old copy of the spool, says what that may cost (see Evidence).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, NamedTuple

from tally import Tally

from gateway import wire

SENSOR: Final = "count"
"""What the inputs of the laboratory measure. Readings of other devices are a fault's own affair."""

TOLERANCE: Final = 50_000_000
"""Nanoseconds between writing a line and noting when it was written, at most."""


class Arrival(NamedTuple):
    """A numbered reading in Kafka, in Kafka's order within its device.

    Attributes:
        at: when the reader had it, in monotonic nanoseconds.
    """

    device: str
    number: int
    redelivered: bool
    identity: tuple[str, str]
    seq: int
    at: int


@dataclass
class Evidence:
    """What is known about the inputs and the fault of a round. Times are monotonic nanoseconds.

    Attributes:
        said: by device, when each number was given away; the place in the list is the number. From the first round on.
        serial: the devices on the serial line; the others are MQTT's.
        fresh, again, acknowledged: what passed between broker and gateway (see MqttRecord). From the first round on.
        kills: when gatewayd was killed or ended by itself.
        starts: when it was there again: what had waited in the line until then, it could not read earlier.
        hang_ups: when the serial line was cut.
        broker_killed: whether the MQTT broker was killed.
        damaged: readings by kind of input (`mqtt`, `serial`) that were in frames which the fault damaged.
        copied: whether an old copy of the spool was brought back: what it held may come again under a new spool id.
        bound: how old an unsafe reading may be.
    """

    said: Mapping[str, Sequence[int]]
    serial: frozenset[str]
    fresh: Tally
    again: Tally
    acknowledged: Tally
    kills: Sequence[int] = ()
    starts: Sequence[int] = ()
    hang_ups: Sequence[int] = ()
    broker_killed: bool = False
    damaged: Mapping[str, int] = field(default_factory=dict)
    copied: bool = False
    bound: float = 0.0


@dataclass
class Verdict:
    """What became of the readings of a round.

    Attributes:
        readings: how many were given away.
        lost_mqtt, lost_serial: readings that a promise covers and that are not there.
        lost_by_broker: acknowledged to the publisher by a broker that was then killed, and never acknowledged by the gateway.
        unsafe: lines lost by a kill or a hang-up before they were safe; unsafe_age: seconds between the oldest one and that moment.
        damaged: readings missing with the frame that was damaged.
        duplicated, reordered: broken promises.
        foreign: readings that nobody gave away.
        redelivered, sent_again, copied: repetitions that are none of the gateway's: marked by MQTT, not marked by a killed
            broker, and from an old copy of the spool.
        late: readings that an earlier round took for missing: it should have waited longer.
        details: the broken promises one by one, for a person.
    """

    readings: int = 0
    lost_mqtt: int = 0
    lost_serial: int = 0
    lost_by_broker: int = 0
    unsafe: int = 0
    unsafe_age: float = 0.0
    damaged: int = 0
    duplicated: int = 0
    reordered: int = 0
    foreign: int = 0
    redelivered: int = 0
    sent_again: int = 0
    copied: int = 0
    late: int = 0
    details: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Readings that are not there though they should be."""
        return self.lost_mqtt + self.lost_serial

    @property
    def broken(self) -> bool:
        """Whether a promise was."""
        return bool(self.lost or self.duplicated or self.reordered or self.foreign)


class Judge:
    """Takes every reading that a reader of committed records sees, and judges round by round. Used from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._arrivals: list[Arrival] = []
        self._odd: list[str] = []
        self._here = Tally()
        self._highest: dict[str, int] = defaultdict(lambda: -1)
        self.latest = 0
        # What the rounds before left: judged by judge() only.
        self._judged: dict[str, int] = defaultdict(int)
        self._before = Tally()
        self._spools: dict[tuple[str, int], tuple[str, str]] = {}
        self._sequences: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._last: dict[tuple[tuple[str, str], str], int] = defaultdict(int)
        self._top: dict[str, int] = defaultdict(lambda: -1)

    def take(self, reading: wire.Reading, at: int) -> None:
        """One more reading, in Kafka's order, read at `at` (monotonic nanoseconds)."""
        if reading.sensor != SENSOR or not isinstance(reading.value, int):
            with self._lock:
                self._odd.append(reading.device)
            return
        number = int(reading.value)
        marked = "redelivered" in reading.flags
        identity = (reading.gateway, reading.spool)
        with self._lock:
            self._arrivals.append(Arrival(reading.device, number, marked, identity, reading.seq, at))
            self._here.add(reading.device, number)
            self._highest[reading.device] = max(self._highest[reading.device], number)
            self.latest = at

    def has_from(self, marks: Mapping[str, int]) -> bool:
        """Whether a reading of one of these devices is there whose number is at least the one given."""
        with self._lock:
            return any(self._highest[device] >= number for device, number in marks.items())

    def missing(self, said: Mapping[str, Sequence[int]]) -> int:
        """How many of those given away since the last round are not there yet."""
        with self._lock:
            return sum(len(self._missing(device, len(numbers))) for device, numbers in said.items())

    def lost(self, evidence: Evidence) -> int:
        """How many of them would count as lost if it were judged now."""
        verdict = Verdict()
        with self._lock:
            for device in evidence.said:
                self._judge_missing(device, evidence, verdict)
        _excuse_damage(evidence, verdict)
        return verdict.lost

    def judge(self, evidence: Evidence) -> Verdict:
        """What became of everything since the last round. To be called when nothing is on its way any more."""
        with self._lock:
            arrivals, self._arrivals = self._arrivals, []
            verdict = Verdict()
            for device in evidence.said:
                self._judge_missing(device, evidence, verdict)
            for arrival in arrivals:
                self._judge_arrival(arrival, evidence, verdict)
            for device in self._odd:
                if device in evidence.said:
                    verdict.foreign += 1
                    verdict.details.append(f"never said: another sensor or no number of {device}")
            self._odd = []
            for device, numbers in evidence.said.items():
                verdict.readings += len(numbers) - self._judged[device]
                self._judged[device] = len(numbers)
        _excuse_damage(evidence, verdict)
        return verdict

    def _missing(self, device: str, end: int) -> list[int]:
        return [n for n in range(self._judged[device], end) if not self._here.get(device, n)]

    def _judge_missing(self, device: str, evidence: Evidence, verdict: Verdict) -> None:
        said = evidence.said[device]
        lost: dict[str, list[int]] = defaultdict(list)
        for number in self._missing(device, len(said)):
            if device in evidence.serial:
                age = _age(said[number], evidence)
                if age <= evidence.bound:
                    verdict.unsafe += 1
                    if not evidence.damaged:  # else it may be one of those, and its age says nothing
                        verdict.unsafe_age = max(verdict.unsafe_age, age)
                    continue
                verdict.lost_serial += 1
                lost["older than the bound" if age < float("inf") else "with nothing that excuses it"].append(
                    number
                )
            elif evidence.acknowledged.get(device, number):
                verdict.lost_mqtt += 1
                lost["acknowledged by the gateway"].append(number)
            elif evidence.broker_killed:
                verdict.lost_by_broker += 1
            else:
                verdict.lost_mqtt += 1
                lost["not acknowledged by the gateway"].append(number)
        verdict.details += [f"missing: {device} {_ranges(numbers)}, {how}" for how, numbers in lost.items()]

    def _judge_arrival(self, one: Arrival, evidence: Evidence, verdict: Verdict) -> None:
        if one.number >= len(evidence.said.get(one.device, ())):
            verdict.foreign += 1
            verdict.details.append(f"never said: {one.device} {one.number}")
            return
        before = self._before.add(one.device, one.number)
        if one.number < self._judged[one.device] and not before and not one.redelivered:
            verdict.late += 1
            verdict.details.append(
                f"late: {one.device} {one.number} was judged to be missing in an earlier round"
            )
        place = (one.device, one.number)
        if one.seq in self._sequences[one.identity]:
            verdict.duplicated += 1
            verdict.details.append(
                f"duplicated: {one.device} {one.number} has the identity of another, {one.seq:#x}"
            )
        elif before:
            self._judge_repetition(one, before, evidence, verdict)
        elif not one.redelivered:
            if one.number < self._top[one.device]:
                verdict.reordered += 1
                verdict.details.append(f"reordered: {one.device} {one.number} after {self._top[one.device]}")
            self._top[one.device] = max(one.number, self._top[one.device])
        self._spools.setdefault(place, one.identity)
        if one.seq < self._last[one.identity, one.device]:
            verdict.reordered += 1
            verdict.details.append(f"reordered: {one.device} {one.number} by its sequence, {one.seq:#x}")
        self._sequences[one.identity].add(one.seq)
        self._last[one.identity, one.device] = max(one.seq, self._last[one.identity, one.device])

    def _judge_repetition(self, one: Arrival, before: int, evidence: Evidence, verdict: Verdict) -> None:
        place = (one.device, one.number)
        marked, unmarked = evidence.again.get(*place), evidence.fresh.get(*place)
        if before < marked + unmarked and (one.redelivered or unmarked > 1):
            if one.redelivered:
                verdict.redelivered += 1
            else:
                verdict.sent_again += 1
        elif evidence.copied and self._spools[place] != one.identity:
            verdict.copied += 1
        else:
            verdict.duplicated += 1
            verdict.details.append(
                f"duplicated: {one.device} {one.number}, the broker sent it {marked + unmarked} times"
            )


def _age(said: int, evidence: Evidence) -> float:
    """Seconds for which gatewayd could have read a line before a kill or hang-up took it; infinite if none did."""
    ages = []
    for moment in (*evidence.kills, *evidence.hang_ups):
        if moment >= said - TOLERANCE:
            readable = max([said, *(start for start in evidence.starts if start <= moment)])
            ages.append(moment - readable)
    return min(ages) / 1e9 if ages else float("inf")


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers for the eye: `3-7, 9`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in ranges)


def _excuse_damage(evidence: Evidence, verdict: Verdict) -> None:
    """What was in a damaged frame may be missing, and no more than that."""
    damaged = Counter(evidence.damaged)
    excused = {
        "mqtt": min(damaged["mqtt"], verdict.lost_mqtt),
        "serial": min(damaged["serial"], verdict.lost_serial),
    }
    verdict.lost_mqtt -= excused["mqtt"]
    verdict.lost_serial -= excused["serial"]
    verdict.damaged = sum(excused.values())
