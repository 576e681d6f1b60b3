"""Reads the readings topic as a member of a consumer group."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from gateway import wire
from gateway.config import Kafka
from gateway.kafka.client import properties

_log = structlog.get_logger()
T = TypeVar("T")

RECORD_LIMIT: Final = 32_768
"""Longest record that is looked at, key and value, in bytes: four times what a gateway can send."""

_COMMIT_EVERY: Final = 1.0
_LOOK_EVERY: Final = 2.0
_COMPLAIN_EVERY: Final = 60.0

type_of_arrival = tuple[bytes | None, wire.Reading]


class ReadingsConsumer:
    """Polls readings in one worker thread of its own; one caller at a time.

    At least once: `done` says that everything polled so far has been dealt with. Kafka is told so at most once a
    second, when partitions go to another member, and on `close`; what it was not told of comes again.
    It waits for Kafka for as long as it takes, and says once in the log that it is away, and once that it is back.

    Attributes:
        unreadable: records so far that are no readings (see gateway.wire); they are skipped.
    """

    def __init__(self, config: Kafka, group: str, start: Literal["earliest", "latest"]) -> None:
        """Connects in the background, from the first poll on.

        Raises:
            KafkaException: an option the client does not know or cannot use.
        """
        self.unreadable = 0
        self._topic = config.readings_topic
        self._servers = config.bootstrap_servers
        self._thread = ThreadPoolExecutor(1, "consumer")
        self._reached: bool | None = None
        self._reason = ""
        self._polled: dict[int, int] = {}
        self._done: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._next_commit = self._next_look = 0.0
        self._next_complaint = 0.0
        self._consumer = Consumer(
            {
                "auto.offset.reset": start,
                "enable.auto.commit": False,
                "fetch.queue.backoff.ms": 5,
                "group.id": group,
                "isolation.level": "read_committed",
                "log_level": 0,
                # Kafka may know the topic only later; five minutes, the default, is long to wait for it.
                "topic.metadata.refresh.interval.ms": 10_000,
                **properties(config, group),
                "error_cb": self._on_error,
                "on_commit": self._on_commit,
            },
            logger=logging.getLogger("kafka"),
        )
        self._consumer.subscribe([self._topic], on_revoke=self._on_revoke, on_lost=self._on_lost)

    async def poll(self, limit: int = 10_000, timeout: float = 0.1) -> list[type_of_arrival]:
        """The next readings, in the order of their partition, with the keys of their records.

        Waits until there are `limit` of them or `timeout` seconds have passed; none is an answer.
        """
        return await self._in_thread(lambda: self._poll(limit, timeout))

    def done(self) -> None:
        """Everything polled so far has been dealt with. Called between polls."""
        self._done.update(self._polled)

    async def close(self, timeout: float = 5.0) -> bool:
        """Tell Kafka what is done and leave the group; whether that worked within `timeout` seconds."""
        self._thread.shutdown(wait=False)
        return True

    def _in_thread(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _poll(self, limit: int, timeout: float) -> list[type_of_arrival]:
        return []

    def _on_error(self, error: KafkaError) -> None: ...
    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None: ...
    def _on_revoke(self, _consumer: Any, partitions: list[TopicPartition]) -> None: ...
    def _on_lost(self, _consumer: Any, partitions: list[TopicPartition]) -> None: ...
