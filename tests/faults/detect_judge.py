"""Counts what detection wrote against what it had to write: the anomalies topic, read committed, record for record.

What it had to write is what one bank says that reads each partition of the readings once, from its beginning, undisturbed.
"""

import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from detect_fleet import TOLD
from detect_member import Names
from detect_terms import Terms, compared
from waiting import wait_until

from gateway.detect.judge import MakeBank
from gateway.wire import Arrival, WireError, decode_anomaly, decode_reading, encode_anomaly

STALL: Final = 60.0
NEAR: Final = 100
"""So many records ahead a record is looked for that is not the next one: those before it are missing."""

SHOWN: Final = 600
"""Characters of a difference."""

Pair = tuple[bytes | None, bytes]


class Expected:
    """What has to be written: what one bank of each partition says to its readings, undisturbed.

    Attributes:
        readings: how many there were.
        records: that must be equal, by partition.
        silences: ids of those that show in the readings.
    """

    def __init__(self, bootstrap: str, partitions: int, names: Names, make_bank: MakeBank) -> None:
        self._reader = Reader(bootstrap, names.readings, partitions)
        self._banks = [make_bank() for _ in range(partitions)]
        self.readings = 0
        self.records: list[list[Pair]] = [[] for _ in range(partitions)]
        self.silences: set[str] = set()

    def take(self) -> None:
        """Read the readings up to the end as it is."""
        arrivals: list[list[Arrival]] = [[] for _ in self._banks]
        for message in self._reader.drain():
            with suppress(WireError):
                reading = decode_reading(message.value() or b"")
                arrivals[message.partition() or 0].append(
                    Arrival(message.offset() or 0, message.key(), reading)
                )
                self.readings += 1
        for bank, records, those in zip(self._banks, self.records, arrivals, strict=True):
            for said in bank.judge(those):
                anomaly = said.anomaly
                if (due := compared(anomaly)) is not None:
                    records.append((said.key, encode_anomaly(due)))
                elif anomaly.rule == "silence" and not anomaly.device.startswith(TOLD):
                    self.silences.add(anomaly.id)

    def counts(self) -> Counter[str]:
        """What became of the readings."""
        found: Counter[str] = Counter()
        for bank in self._banks:
            found.update(msgspec.structs.asdict(bank.counts))
        return found

    def close(self) -> None:
        self._reader.close()


@dataclass
class Verdict:
    """So far.

    Attributes:
        compared: records that were compared, by rule and grade; events: the same by what happened.
        differences: what is not as it had to be, in words.
        missing: records that are not there (yet).
    """

    compared: Counter[tuple[str, str]] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    missing: int = 0

    def differ(self, what: str) -> None:
        self.differences.append(what[:SHOWN])

    @property
    def anomalies(self) -> int:
        return self.compared.total()


class Judge:
    """Reads along what is said; take() compares as far as it is. The topics must have the same number of partitions.

    Attributes:
        expected: what has to be said.
        recent, told: ids of anomalies raised of late: of sensors of which everything is compared, and of others.
        terms: of what is not compared.
    """

    def __init__(self, bootstrap: str, partitions: int, names: Names, expected: Expected) -> None:
        self._anomalies = Reader(bootstrap, names.anomalies, partitions)
        self._places = [0] * partitions
        self.expected = expected
        self.terms = Terms()
        self.recent: deque[str] = deque(maxlen=300)
        self.told: deque[str] = deque(maxlen=30)
        self.verdict = Verdict()

    def take(self) -> Verdict:
        """Read both topics to their ends, and compare."""
        found = list(self._anomalies.drain())  # first: what was said of is in the readings
        self.expected.take()
        for message in found:
            self._find(message)
        due = sum(map(len, self.expected.records))
        self.verdict.missing = max(0, due - sum(self._places))
        return self.verdict

    def close(self) -> None:
        self._anomalies.close()

    def _find(self, message: Message) -> None:
        value, verdict = message.value() or b"", self.verdict
        anomaly = decode_anomaly(value)
        if anomaly.event == "raised":
            self.terms.raised(anomaly)
        if (found := compared(anomaly)) is None:
            if problem := self.terms.take(anomaly):
                verdict.differ(problem)
            if anomaly.device.startswith(TOLD) and anomaly.event == "raised":
                self.told.append(anomaly.id)
            return
        partition = message.partition() or 0
        records, place = self.expected.records[partition], self._places[partition]
        got = message.key(), value if found is anomaly else encode_anomaly(found)
        due = records[place : place + NEAR]
        if got in due:
            if skipped := due.index(got):
                verdict.differ(f"partition {partition}: {skipped} missing: {due[0]!r}")
            self._places[partition] += skipped + 1
        else:
            verdict.differ(f"partition {partition}: {got!r} is not what follows from the readings")
        verdict.compared[anomaly.rule, anomaly.grade] += 1
        verdict.events[anomaly.event] += 1
        if anomaly.event == "raised" and anomaly.rule != "storm":
            self.recent.append(anomaly.id)


class Reader:
    """Every committed record of a topic, in order within each partition."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"judge-{uuid.uuid4().hex}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.queue.backoff.ms": 5,
                "fetch.wait.max.ms": 20,  # while a broker waits for records, it answers nothing else
                "log_level": 0,
            }
        )
        self._reached = {TopicPartition(topic, number): 0 for number in range(partitions)}
        self._consumer.assign(
            [TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)]
        )

    def drain(self) -> Iterator[Message]:
        """Those that came since the last time, up to the ends as they are now."""
        ends = {place: self._end(place) for place in self._reached}
        deadline = time.monotonic() + STALL
        while any(self._reached[place] < end for place, end in ends.items()):
            for message in self._consumer.consume(5000, 0.2):
                deadline = time.monotonic() + STALL
                place, offset = (
                    TopicPartition(message.topic() or "", message.partition() or 0),
                    message.offset() or 0,
                )
                if (error := message.error()) is None:
                    self._reached[place] = offset + 1
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._reached[place] = max(self._reached[place], offset)
                elif not error.retriable():
                    raise KafkaException(error)
            assert time.monotonic() < deadline, f"nothing came for {STALL:.0f} s"

    def close(self) -> None:
        self._consumer.close()

    def _end(self, place: TopicPartition) -> int:
        found: list[int] = []

        def answered() -> bool:
            with suppress(KafkaException):  # a partition may be without a leader for a moment
                found.append(self._consumer.get_watermark_offsets(place, 5)[1])
            return bool(found)

        wait_until(answered, f"the end of {place}", STALL)
        return found[0]
