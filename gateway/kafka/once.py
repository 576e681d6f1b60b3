"""Anomalies, state and position in one transaction: exactly once."""

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from gateway.config import DetectKafka
from gateway.kafka.client import Record, properties
from gateway.kafka.outlet import Part, Written
from gateway.kafka.producing import ANSWER_TIMEOUT
from gateway.kafka.sink import Link, PositionUnknownError
from gateway.kafka.state_topic import ensure_detect_topics
from gateway.kafka.transactions import Offsets, Transactions


class ExactlyOnceOutlet:
    """An Outlet (see there). A write() is one transaction: of its records and its offsets Kafka has all or nothing.

    Each transaction puts a token of its own beside the offsets, which names the producer too (see state.py). If it is not known whether one was committed, the producer
    is made anew, which ends it for good, and the token says whether it counts. That holds also where the offsets
    themselves did not move. If other members have taken over all of its partitions, nobody can say, and nobody asks: what is
    lost with the group is never written again.
    """

    def __init__(self, config: DetectKafka, group: str, transactional_id: str) -> None:
        """`transactional_id` must differ between living processes. Connects to nothing yet.

        Raises:
            ConfigError: the client refuses a property in `config.options`.
        """
        self._config = config
        self._group = group
        self._transactions = Transactions(config, group, transactional_id)
        self.name = transactional_id
        self._run = secrets.token_hex(6)
        self._count = 0
        self._open: Sequence[int] = ()

    @property
    def link(self) -> Link:
        """See Outlet."""
        return self._transactions.link

    async def resume(self, attempt_done: Callable[[], None]) -> bool:
        """See Outlet."""
        topics = partial(ensure_detect_topics, self._config, self._group)
        make_topics = partial(self._transactions.prepare, topics)
        counts = await self._transactions.resume(make_topics, self._counts, attempt_done)
        self._open = ()
        return counts

    async def write(self, parts: Sequence[Part], group: Any, attempt_done: Callable[[], None]) -> Written:
        """See Outlet."""
        self._count += 1
        places = [self._place(part.partition, part.offset) for part in parts]
        records: list[Record] = [record for part in parts for record in (*part.said, *part.rows)]
        try:
            sent = await self._transactions.send(records, lambda: Offsets(places, group), attempt_done)
        except PositionUnknownError:
            self._open = [part.partition for part in parts]
            raise
        return Written(not (sent.pending or sent.trouble), sent.refused, sent.trouble)

    async def idle(self) -> None:
        """See Outlet."""
        await self._transactions.idle()

    async def close(self) -> None:
        """See Outlet."""
        await self._transactions.close()

    @property
    def _token(self) -> str:
        return f"{self.name} {self._run}-{self._count}"

    def _place(self, partition: int, offset: int) -> TopicPartition:
        return TopicPartition(self._config.readings_topic, partition, offset, self._token)

    def _counts(self) -> bool:
        """Whether the transaction that was left open counts. In the worker thread."""
        if not self._open:
            return False
        consumer = Consumer(
            {
                "group.id": self._group,
                "isolation.level": "read_committed",  # waits for offsets that are being committed
                "enable.auto.commit": False,
                "log_level": 0,
                **properties(self._config, self._group),
            }
        )
        try:
            places = [TopicPartition(self._config.readings_topic, number) for number in self._open]
            found = consumer.committed(places, ANSWER_TIMEOUT)
        finally:
            consumer.close()
        if problem := next((place.error for place in found if place.error is not None), None):
            raise KafkaException(problem)
        return any(place.metadata == self._token for place in found)
