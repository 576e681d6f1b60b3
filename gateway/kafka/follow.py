"""Reads topics along with everybody else, in no group, and sees how far a group has come."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from gateway.config import Kafka
from gateway.kafka.client import Record, properties

_PATIENCE: Final = 10.0
"""Seconds that one question to the cluster may take."""


class Follower:
    """Every record of some topics, from their beginning. The topics must exist. Used from one thread.

    Raises:
        KafkaException: on making it; the cluster does not answer.
    """

    def __init__(self, config: Kafka, topics: Sequence[str], group: str) -> None:
        """`group` is the consumer group whose progress to watch; it is not joined."""
        self._consumer = Consumer(
            {
                "enable.auto.commit": False,
                "fetch.queue.backoff.ms": 5,
                # A broker that waits for records answers no other question on this connection meanwhile.
                "fetch.wait.max.ms": 20,
                "group.id": group,
                "isolation.level": "read_committed",
                "log_level": 3,
                **properties(config, "gateway-follower"),
            }
        )
        self._partitions = {topic: self._partitions_of(topic) for topic in topics}
        self._consumer.assign([one for partitions in self._partitions.values() for one in partitions])

    def poll(self, timeout: float) -> list[Record]:
        """The next records, in order within a partition; none if there are none within `timeout` seconds."""
        return [
            Record(message.topic() or "", message.key(), message.value() or b"")
            for message in self._consumer.consume(1000, timeout)
            if message.error() is None
        ]

    def behind(self) -> int:
        """How many records of the topics are still to come from poll()."""
        partitions = [one for partitions in self._partitions.values() for one in partitions]
        return self._distance(self._consumer.position(partitions))

    def group_behind(self, topic: str) -> int:
        """How many records of the topic the group has not yet said to be done."""
        return self._distance(self._consumer.committed(self._partitions[topic], timeout=_PATIENCE))

    def close(self) -> None:
        """Leave the cluster."""
        with suppress(KafkaException):
            self._consumer.close()

    def _partitions_of(self, topic: str) -> list[TopicPartition]:
        known = self._consumer.list_topics(topic, timeout=_PATIENCE).topics[topic].partitions
        return [TopicPartition(topic, number, OFFSET_BEGINNING) for number in known]

    def _distance(self, places: list[TopicPartition]) -> int:
        """Records between these places, or the beginning where there is none, and the ends of the partitions."""
        distance = 0
        for place in places:
            low, high = self._consumer.get_watermark_offsets(place, timeout=_PATIENCE)
            distance += high - max(low, place.offset)
        return distance
