"""Hands records to the Kafka client, and knows them again in its reports."""

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from gateway.kafka.client import Record


class Handed:
    """Which of the records that were handed over a report is of."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._by_content: dict[tuple[str, bytes | None, bytes], Record] = {}

    def of(self, message: Message) -> Record:
        """The record of this report."""
        if not self._by_content:  # made when it is needed, which is hardly ever
            self._by_content = {(one.topic, one.key, one.value): one for one in self._records}
        return self._by_content[message.topic() or "", message.key(), message.value() or b""]


def offer(
    producer: Producer, records: Sequence[Record], report: Callable[[KafkaError | None, Message], None]
) -> list[tuple[Record, KafkaError]]:
    """Hand all records to the client, place by place, in order; returns those that it would not even take.

    It looks at their sizes first: what is larger than message.max.bytes never leaves.
    """
    by_place: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for record in records:
        place = (record.topic, record.partition)
        by_place.setdefault(place, []).append({"key": record.key, "value": record.value or None})
    rejected = []
    # In the dict of a record the client overlooks the partition.
    for (topic, partition), messages in by_place.items():
        if producer.produce_batch(topic, messages, partition, on_delivery=report) < len(messages):
            rejected += [
                (Record(topic, message["key"], message["value"] or b"", partition), message["_error"])
                for message in messages
                if "_error" in message
            ]
    return rejected
