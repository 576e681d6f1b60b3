"""Reads back what a partition of the state topic holds, and where its readings stand."""

import threading
import time
from contextlib import suppress
from typing import Final, NamedTuple

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)

from gateway.config import DetectKafka
from gateway.kafka.client import explain_reading, properties

_log = structlog.get_logger()

ANSWER_TIMEOUT: Final = 10.0
"""Seconds that one question to the cluster may take."""

STALL: Final = 30.0
"""Seconds without any record after which reading is given up: longer than Kafka takes to end the transaction of a process
that died in the midst of it (12 s, and until it looks, every ten)."""

IMPATIENCE: Final = 1.0
"""Seconds after which a transaction that is in the way is taken for one that nobody will end."""

SAY_EVERY: Final = 5.0
LOT: Final = 5_000


class StateUnreadableError(Exception):
    """The state cannot be read now: try again. The text says why."""


class Found(NamedTuple):
    """Of one partition.

    Attributes:
        rows: by key, the latest value of each record of the state topic.
        committed: up to where the group has dealt with the readings; None if it has not begun, or Kafka has forgotten.
        low, high: where the readings begin and end.
    """

    rows: dict[bytes, bytes]
    committed: int | None
    low: int
    high: int


class StateReader:
    """Reads it to its end. Used from one thread, and once."""

    def __init__(
        self, config: DetectKafka, group: str, partition: int, producer: str, given_up: threading.Event
    ) -> None:
        """`producer` is the transactional id of this process, if it has one; `given_up` ends read() early."""
        self._config = config
        self._group = group
        self._readings = TopicPartition(config.readings_topic, partition)
        self._state = TopicPartition(config.state_topic, partition, OFFSET_BEGINNING)
        self._producer = producer
        self._given_up = given_up

    def read(self) -> Found:
        """What there is. Blocks.

        The order matters. First the position of the group, once it is stable: from then on only who owns the partition now can
        move it. Then the end of the state, transactions still open included, and all up to that end: so every row that was
        written together with that position, or before, is there.

        Raises:
            StateUnreadableError: see there.
        """
        try:
            return self._read()
        except KafkaException as error:
            raise StateUnreadableError(explain_reading(error.args[0])) from None

    def _read(self) -> Found:
        consumer = self._consumer("read_committed")
        try:
            committed = self._stable(consumer)
            low, high = consumer.get_watermark_offsets(self._readings, ANSWER_TIMEOUT)
            self._know(consumer)
            return Found(self._rows(consumer, self._end()), committed, low, high)
        finally:
            with suppress(KafkaException):
                consumer.close()

    def _consumer(self, isolation: str) -> Consumer:
        return Consumer(
            {
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.queue.backoff.ms": 5,
                "fetch.wait.max.ms": 20,  # the end of a partition is told by a fetch that brings nothing
                "group.id": self._group,
                "log_level": 0,
                **properties(self._config, self._group),
                "isolation.level": isolation,
            }
        )

    def _stable(self, consumer: Consumer) -> int | None:
        """The position of the group, once no transaction is about to move it."""
        try:
            found = _committed(consumer, self._readings, IMPATIENCE)
        except KafkaException as error:
            problem = error.args[0]
            if not problem.retriable() and problem.code() != KafkaError._TIMED_OUT:  # noqa: SLF001 - no public name
                raise
            self._end_predecessor()
            found = _committed(consumer, self._readings, ANSWER_TIMEOUT)
        return found.offset if found.offset >= 0 else None

    def _end_predecessor(self) -> None:
        """End the transaction in which whoever had the partition before died, or was frozen.

        Otherwise Kafka does it after 12 to 22 seconds. Nobody who is alive and knows that the partition is ours has one open
        that concerns it. Its producer is named beside the position.
        """
        consumer = self._consumer("read_uncommitted")  # does not wait for that transaction
        try:
            text = _committed(consumer, self._readings, ANSWER_TIMEOUT).metadata or ""
        finally:
            consumer.close()
        producer = text.partition(" ")[0]
        if producer in {"", self._producer}:
            return
        settings = {"transactional.id": producer, "log_level": 0, **properties(self._config, self._group)}
        Producer(settings).init_transactions(ANSWER_TIMEOUT)
        _log.info("transaction of another process ended", partition=self._readings.partition)

    def _know(self, consumer: Consumer) -> None:
        """That the partition is there; and the client, which looks for a topic new to it only every second, knows it."""
        topic, number = self._state.topic, self._state.partition
        found = consumer.list_topics(topic, ANSWER_TIMEOUT).topics[topic]
        if number not in found.partitions:
            raise StateUnreadableError(
                f"topic {topic!r} has no partition {number}: give it as many as the readings topic has "
                f"(kafka-topics.sh --alter --topic {topic} --partitions N)"
            )

    def _end(self) -> int:
        """Where the state ends, behind transactions that are not decided yet too."""
        consumer = self._consumer("read_uncommitted")
        try:
            return consumer.get_watermark_offsets(self._state, ANSWER_TIMEOUT)[1]
        finally:
            consumer.close()

    def _rows(self, consumer: Consumer, end: int) -> dict[bytes, bytes]:
        rows: dict[bytes, bytes] = {}
        consumer.assign([self._state])
        reached = 0
        said = heard = time.monotonic()
        impatient = True
        while reached < end and not self._given_up.is_set():
            messages = consumer.consume(LOT, 0.1)
            now = time.monotonic()
            for message in messages:
                offset = message.offset() or 0
                if (error := message.error()) is None:
                    key, value = message.key() or b"", message.value()
                    if value:
                        rows[key] = value
                    else:
                        rows.pop(key, None)
                    reached, heard = offset + 1, now
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client gives it no public name
                    reached = max(reached, offset)
                elif not error.retriable():
                    raise KafkaException(error)
            if impatient and now - heard > 2 * IMPATIENCE:
                impatient = False
                self._end_predecessor()
            if now - heard > STALL:
                raise StateUnreadableError(f"no record came for {STALL:.0f} s")
            if now - said > SAY_EVERY:
                said = now
                _log.info(
                    "reading state", partition=self._state.partition, reached=reached, of=end, rows=len(rows)
                )
        return rows


def _committed(consumer: Consumer, place: TopicPartition, within: float) -> TopicPartition:
    [found] = consumer.committed([place], within)
    if found.error is not None:
        raise KafkaException(found.error)
    return found
