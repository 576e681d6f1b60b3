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

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from counting import CountingBank
from detect_member import Names
from waiting import wait_until

from gateway.wire import Arrival, decode_anomaly, decode_reading, encode_anomaly

ON_READINGS: Final = "count"
"""The rule that runs on readings, whose records must be equal; of the others each is said once."""

STALL: Final = 60.0
MOST: Final = 20
"""Differences that are kept."""

Pair = tuple[bytes | None, bytes]


@dataclass
class Verdict:
    """So far.

    Attributes:
        readings, anomalies: how many were compared.
        differences: what is not as it had to be, in words.
        missing: anomalies that are not there (yet).
    """

    readings: int = 0
    anomalies: int = 0
    differences: list[str] = field(default_factory=list)
    missing: int = 0

    def differ(self, what: str) -> None:
        if len(self.differences) < MOST:
            self.differences.append(what)


class Judge:
    """Reads along; take() up to the ends as they are. The topics must have the same number of partitions."""

    def __init__(self, bootstrap: str, partitions: int, names: Names) -> None:
        self._readings = Reader(bootstrap, names.readings, partitions)
        self._anomalies = Reader(bootstrap, names.anomalies, partitions)
        self._banks = [CountingBank() for _ in range(partitions)]
        self._expected: list[deque[Pair]] = [deque() for _ in range(partitions)]
        self._found: list[deque[Pair]] = [deque() for _ in range(partitions)]
        self._once: Counter[str] = Counter()
        self.recent: deque[str] = deque(maxlen=1000)
        self.verdict = Verdict()

    def take(self) -> Verdict:
        """Read both topics to their ends, and compare as far as both reach."""
        verdict = self.verdict
        for message in self._anomalies.drain():  # first: what was said of is in the readings
            self._find(message)
        for message in self._readings.drain():
            self._expect(message)
        for partition, (expected, found) in enumerate(zip(self._expected, self._found, strict=True)):
            while expected and found:
                if (due := expected.popleft()) != (got := found.popleft()):
                    verdict.differ(f"partition {partition}: {got!r} instead of {due!r}")
                verdict.anomalies += 1
            if found:
                verdict.differ(f"partition {partition}: {len(found)} of readings that nobody sent")
        verdict.missing = sum(len(expected) for expected in self._expected)
        return verdict

    def said(self, name: str) -> bool:
        """Whether an anomaly of this id, of no reading, was said."""
        return name in self._once

    def silences(self) -> int:
        """How many were said."""
        return sum(name.startswith("silent-") for name in self._once)

    def close(self) -> None:
        self._readings.close()
        self._anomalies.close()

    def _expect(self, message: Message) -> None:
        partition = message.partition() or 0
        self.verdict.readings += 1
        arrival = Arrival(message.offset() or 0, message.key(), decode_reading(message.value() or b""))
        self._expected[partition] += [
            (said.key, encode_anomaly(said.anomaly)) for said in self._banks[partition].judge([arrival])
        ]

    def _find(self, message: Message) -> None:
        value = message.value() or b""
        anomaly = decode_anomaly(value)
        if anomaly.rule == ON_READINGS:
            self._found[message.partition() or 0].append((message.key(), value))
            self.recent.append(anomaly.id)
        else:
            self._once[anomaly.id] += 1
            if self._once[anomaly.id] > 1:
                self.verdict.differ(f"{anomaly.id} was said {self._once[anomaly.id]} times")


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
