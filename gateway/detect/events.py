"""What rules find, and the records made of that."""

import hashlib
import math
from typing import Final, Literal, NamedTuple

import msgspec

from gateway.wire import VERSION, Anomaly, Arrival, Command, Nanoseconds

_NAME_LIMIT: Final = 100

type_of_event = Literal["raised", "updated", "acknowledged", "accepted", "fault", "cleared"]
type_of_grade = Literal["alarm", "advisory"]


class Said(NamedTuple):
    """Something to write to the anomalies topic.

    Attributes:
        offset: of the record behind it in the readings topic; -1 if there is none: silence and commands.
        key: of the record to write.
        anomaly: its value.
    """

    offset: int
    key: bytes | None
    anomaly: Anomaly


class Origin(NamedTuple):
    """Which reading it was."""

    spool: str
    seq: int
    time: int
    value: float = math.nan


class Finding(NamedTuple):
    """What a rule has to say after a reading.

    Attributes:
        place: of the reading among those that are judged; -1: there is none behind it.
        row: of the sensor.
        event, grade, sentence, score, low, high: see gateway.wire.Anomaly.
        value: if it is not that of the reading.
        first: the first reading that showed it, if it is raised by a later one.
        at: its time, if it is not that of the reading; then it is about what came before that: `first`, if it is there.
    """

    place: int
    row: int
    event: type_of_event
    grade: type_of_grade
    sentence: str
    score: float = 0.0
    low: float | None = None
    high: float | None = None
    value: float | None = None
    first: Origin | None = None
    at: Nanoseconds = 0


class Slot(msgspec.Struct):
    """An anomaly of one sensor and one rule: the one that is open, or the last one, until another takes its place.

    Attributes:
        id, grade: see gateway.wire.Anomaly.
        spool, seq, since: the first reading that showed it.
        open: raised and not cleared.
        said: verbs of commands that it has had; a second time they change nothing.
        heard: times of the newest commands that it has had: each start hears all of them again.
    """

    id: str
    grade: type_of_grade
    spool: str
    seq: int
    since: int
    open: bool = True
    said: list[str] = []
    heard: list[int] = []


class Sensor(msgspec.Struct):
    """Whose row it is.

    Attributes:
        key: of its records in Kafka.
        gateway, device, sensor: its names.
        unit: as its last reading had it.
        slots: its anomalies by the place of the rule in the row.
    """

    key: bytes | None
    gateway: str
    device: str
    sensor: str
    unit: str
    slots: dict[str, Slot] = {}


def record(
    sensor: Sensor, rule: str, slot: Slot, finding: Finding, arrival: Arrival | None, last: Origin
) -> Anomaly:
    """The record of a finding, with the reading behind it; where it has a time of its own, with the `last` one before."""
    reading = arrival.reading if arrival is not None and not finding.at else None
    shown = last.value if reading is None else reading.value
    return Anomaly(
        v=VERSION,
        id=slot.id,
        event=finding.event,
        rule=rule,
        grade=slot.grade,
        gateway=sensor.gateway,
        device=sensor.device,
        sensor=sensor.sensor,
        value=shown if finding.value is None else finding.value,
        sentence=finding.sentence,
        since=slot.since,
        time=finding.at if reading is None else reading.time,
        spool=last.spool if reading is None else reading.spool,
        seq=last.seq if reading is None else reading.seq,
        low=finding.low,
        high=finding.high,
        score=finding.score,
        unit=sensor.unit if reading is None else reading.unit,
        flags=() if reading is None else reading.flags,
        first_spool=slot.spool,
        first_seq=slot.seq,
    )


def anomaly_id(rule: str, gateway: str, device: str, sensor: str, first: Origin) -> str:
    """The same readings give the same id, whoever reads them again."""
    named = (rule, gateway, device, sensor, first.spool, str(first.seq))
    return hashlib.blake2b("\0".join(named).encode(), digest_size=12).hexdigest()


def by_whom(command: Command) -> str:
    """Who says so, for a sentence."""
    return command.by[:_NAME_LIMIT] if command.by.isprintable() and command.by else "somebody"
