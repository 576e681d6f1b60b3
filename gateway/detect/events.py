"""What a rule is, what it finds, and the record made of that."""

import hashlib
from typing import Literal, NamedTuple, Protocol

from gateway.wire import VERSION, Anomaly, Reading

type_of_event = Literal["raised", "updated", "cleared"]
type_of_grade = Literal["alarm", "advisory"]


class Finding(NamedTuple):
    """What a rule has to say after a reading.

    Attributes:
        event: `raised` opens an anomaly; `updated` and `cleared` only follow while it is open.
        first: the reading that raised it.
        sentence: see gateway.wire.Anomaly, as score, low and high.
    """

    event: type_of_event
    first: Reading
    sentence: str
    score: float
    low: float | None
    high: float | None


class Rule(Protocol):
    """Judges one sensor, one reading after the other; keeps its own state.

    Attributes:
        name: of the rule, as in the records.
        grade: of its anomalies.
        first: the reading that raised the anomaly now open; None if none is.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see Attributes, as the next one

    @property
    def grade(self) -> type_of_grade: ...  # noqa: D102

    first: Reading | None

    def judge(self, reading: Reading, value: float, elapsed: float) -> Finding | None:
        """Judge first, then learn.

        The caller passes readings of one sensor in the order of their time, each once, with its numeric value
        (finite, no boolean) and the seconds since the one before (0 for the first).
        """
        ...


def anomaly(rule: Rule, finding: Finding, reading: Reading) -> Anomaly:
    """The record of what `rule` found, with `reading` as the reading behind it."""
    return Anomaly(
        v=VERSION,
        id=_anomaly_id(rule.name, finding.first),
        event=finding.event,
        rule=rule.name,
        grade=rule.grade,
        gateway=reading.gateway,
        device=reading.device,
        sensor=reading.sensor,
        value=reading.value,
        sentence=finding.sentence,
        since=finding.first.time,
        time=reading.time,
        spool=reading.spool,
        seq=reading.seq,
        low=finding.low,
        high=finding.high,
        score=finding.score,
        unit=reading.unit,
        flags=reading.flags,
    )


def _anomaly_id(rule: str, first: Reading) -> str:
    """The same readings give the same id, whoever reads them again."""
    named = (rule, first.gateway, first.device, first.sensor, first.spool, str(first.seq))
    return hashlib.blake2b("\0".join(named).encode(), digest_size=12).hexdigest()
