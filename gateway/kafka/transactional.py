"""Exactly once: readings and the position in one transaction."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from gateway.config import Kafka
from gateway.kafka.client import Record, cursor_group, properties
from gateway.kafka.producing import ANSWER_TIMEOUT
from gateway.kafka.sink import Link, Sent
from gateway.kafka.transactions import Offsets, Transactions
from gateway.position import METADATA_LIMIT, Position, position_of

_log = structlog.get_logger()


class TransactionalSink:
    """A Sink (see there). A send() is one transaction: of its records and its position Kafka has all or nothing.

    The position is the offset of a consumer group without members, `gateway-cursor-<gateway>`, for partition 0 of the
    readings topic. Whoever makes a sink for the same gateway ends the transactions of this one.
    """

    def __init__(self, config: Kafka, gateway: str) -> None:
        """`gateway` is its id. Connects to nothing yet.

        Raises:
            ConfigError: the client refuses a property in `config.options`.
        """
        name = f"gateway-{gateway}"
        self._config = config
        self._transactions = Transactions(config, name, name, self._refused)
        self._group = cursor_group(gateway)
        self._group_metadata: Any = None
        self._beside = METADATA_LIMIT

    @property
    def link(self) -> Link:
        """See Sink."""
        return self._transactions.link

    async def resume(self, topics: Sequence[str], attempt_done: Callable[[], None]) -> Position | None:
        """See Sink."""
        make_topics = partial(self._transactions.ensure_topics, topics)
        return await self._transactions.resume(make_topics, self._read_position, attempt_done)

    async def send(
        self, records: Sequence[Record], position: Position, attempt_done: Callable[[], None]
    ) -> Sent:
        """See Sink."""

        def offsets() -> Offsets:
            return Offsets([self._place(position)], self._group_metadata)

        return await self._transactions.send(records, offsets, attempt_done)

    async def idle(self) -> None:
        """See Sink."""
        await self._transactions.idle()

    async def close(self) -> None:
        """See Sink."""
        await self._transactions.close()

    def _read_position(self) -> Position | None:
        consumer = Consumer(
            {
                "group.id": self._group,
                "isolation.level": "read_committed",  # waits for a position that is being committed
                "enable.auto.commit": False,
                "log_level": 0,
                **properties(self._config, self._group),
            }
        )
        try:
            self._group_metadata = consumer.consumer_group_metadata()
            [found] = consumer.committed([self._place()], ANSWER_TIMEOUT)
        except KafkaException:
            # A group that this user may not read is asked for again and again; that is told here alone.
            told = consumer.poll(0)
            problem = told.error() if told is not None else None
            if problem is None:
                raise
            raise KafkaException(problem) from None
        finally:
            consumer.close()
        if found.error is not None:
            raise KafkaException(found.error)
        if found.offset < 0:
            return None
        position = position_of(found.offset, found.metadata or "")
        if position is None:
            _log.warning(
                "position in kafka is not ours",
                group=self._group,
                offset=found.offset,
                effect="nothing is trimmed",
            )
        return position

    def _place(self, position: Position | None = None) -> TopicPartition:
        if position is None:
            return TopicPartition(self._config.readings_topic, 0)
        return TopicPartition(self._config.readings_topic, 0, position.last, position.metadata(self._beside))

    def _refused(self, error: KafkaError) -> None:
        """The broker may take less text beside a position than by default: say it, and make do with half."""
        if error.code() == KafkaError.OFFSET_METADATA_TOO_LARGE:
            self._beside //= 2
            remedy = "raise offset.metadata.max.bytes of the brokers to 4096"
            _log.warning("kafka takes less text beside the position", limit=self._beside, remedy=remedy)
