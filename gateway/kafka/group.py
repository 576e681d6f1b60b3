"""Reads a topic as a member of a consumer group, from one thread, and says itself what is dealt with."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from gateway.config import Kafka
from gateway.kafka.client import explain_reading, properties
from gateway.kafka.consumer import SESSION

ANSWER_TIMEOUT: Final = 10.0
"""Seconds that one question to the cluster may take."""

LOT: Final = 500


class GroupError(Exception):
    """The topic cannot be read now: begin anew later. The text says why."""


class Lot(NamedTuple):
    """What a poll brought, in the order in which to deal with it.

    Attributes:
        lost, assigned: partitions that are another member's, and ours, from now on.
        records: partition, offset and value.
        ends: partitions of which all that there is was polled.
    """

    lost: list[int]
    assigned: list[int]
    records: list[tuple[int, int, bytes]]
    ends: list[int]


class GroupReader:
    """A member of the group. Used from one thread, until it raises."""

    def __init__(self, config: Kafka, topic: str, group: str) -> None:
        """Waits for no connection."""
        self._topic = topic
        self._lost: list[int] = []
        self._assigned: list[int] = []
        self._done: dict[int, int] = {}
        classic = config.options.get("group.protocol") != "consumer"
        settings: dict[str, Any] = {
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "topic.metadata.refresh.interval.ms": 10_000,
            **(
                {"session.timeout.ms": round(1000 * SESSION), "heartbeat.interval.ms": 1500}
                if classic
                else {}
            ),
            **properties(config, group),
            **({"partition.assignment.strategy": "cooperative-sticky"} if classic else {}),
            "log_level": 0,
        }
        self._consumer = Consumer(settings)
        self._consumer.subscribe(
            [topic], on_assign=self._on_assign, on_revoke=self._on_lost, on_lost=self._on_lost
        )

    def poll(self, within: float) -> Lot:
        """What is next; after `within` seconds as much as there is, be it nothing.

        Raises:
            GroupError: see there.
        """
        records: list[tuple[int, int, bytes]] = []
        ends: list[int] = []
        try:
            messages = self._consumer.consume(LOT, within)
        except KafkaException as raised:
            raise GroupError(explain_reading(raised.args[0])) from None
        for message in messages:
            partition, offset, error = message.partition(), message.offset(), message.error()
            if partition is None or offset is None or (error is not None and error.retriable()):
                continue
            if error is None:
                records.append((partition, offset, message.value() or b""))
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - no public name
                ends.append(partition)
            elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise GroupError(explain_reading(error))
        lost, assigned, self._lost, self._assigned = self._lost, self._assigned, [], []
        return Lot(lost, assigned, records, ends)

    def commit(self, offsets: Mapping[int, int]) -> None:
        """From where each is to be read the next time. What Kafka does not take now it is told at the next call."""
        places = [
            TopicPartition(self._topic, partition, offset)
            for partition, offset in offsets.items()
            if self._done.get(partition) != offset
        ]
        if places:
            with suppress(KafkaException):
                self._consumer.commit(offsets=places, asynchronous=False)
                self._done.update({one.partition: one.offset for one in places})

    def close(self) -> None:
        """Leave the group."""
        with suppress(KafkaException):
            self._consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        found = consumer.committed(partitions, ANSWER_TIMEOUT)
        if problem := next((one.error for one in found if one.error is not None), None):
            raise KafkaException(problem)
        for one in found:
            one.offset = one.offset if one.offset >= 0 else OFFSET_BEGINNING
        consumer.incremental_assign(found)
        self._assigned += [one.partition for one in found]

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [one.partition for one in partitions]
        self._lost += numbers
        self._assigned = [one for one in self._assigned if one not in numbers]
        for number in numbers:
            self._done.pop(number, None)
