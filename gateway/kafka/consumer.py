"""Reads the readings topic as a member of a consumer group."""

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from gateway.config import ConfigError, Kafka
from gateway.kafka.client import explain, properties
from gateway.wire import Arrival, WireError, decode_reading

_log = structlog.get_logger()

MAX_READINGS: Final = 5_000
"""Readings that one poll brings at most."""

RECORD_LIMIT: Final = 32_768
"""Bytes of key and value of a record beyond which it is not looked at: more than a gateway ever sends."""

COMMIT_EVERY: Final = 1.0
"""Seconds between two commits: how much may come again after a crash."""

COMPLAIN_EVERY: Final = 60.0
"""Seconds between two complaints of one kind."""


class ReadingsConsumer:
    """Polls in one worker thread of its own. Used from one event loop; calls must not overlap.

    At least once: what was polled and not reported by `done` before a crash comes again, and up to COMMIT_EVERY more.
    It waits for Kafka for as long as it takes, and leaves it to the sink to say that it is away.

    Attributes:
        unreadable: records so far that are no readings; they were skipped.
    """

    def __init__(self, config: Kafka, group: str, start: Literal["earliest", "latest"]) -> None:
        """`start` is where a group that Kafka does not know yet begins. Waits for no connection.

        Raises:
            ConfigError: the client refuses a property in `config.options`.
        """
        self.unreadable = 0
        self._bootstrap = config.bootstrap_servers
        self._topic = config.readings_topic
        self._next_commit = 0.0
        self._complained: dict[str, float] = {}
        self._polled: dict[int, int] = {}
        self._done: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        classic = config.options.get("group.protocol") != "consumer"
        self._settings: dict[str, Any] = {
            "group.id": group,
            "auto.offset.reset": start,
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,  # the default, a second, halves the rate whenever the queue was full
            "queued.min.messages": 10_000,  # with the next, what a backlog takes of the memory: two polls ahead
            "queued.max.messages.kbytes": 16_384,
            "fetch.message.max.bytes": 131_072,  # of each partition at a time, before decompression
            "isolation.level": "read_committed",
            # How long the partitions of a member that died stand still; the new protocol leaves that to the broker.
            **({"session.timeout.ms": 10_000} if classic else {}),
            "topic.metadata.refresh.interval.ms": 10_000,  # a topic made after us is found this soon
            **properties(config, group),
            "on_commit": self._on_commit,
            "log_level": 0,  # the sink says it when Kafka is away
        }
        try:
            self._consumer: Consumer | None = self._make()
        except KafkaException as error:
            raise ConfigError(f"kafka.options: refused by the Kafka client: {error.args[0].str()}") from None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="consumer")

    async def poll(self, within: float = 0.1) -> list[Arrival]:
        """The next readings, in order per key; after `within` seconds as many as there are, be it none.

        Never raises for what Kafka does.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._poll, within)

    def done(self) -> None:
        """All that was polled so far is dealt with: it need not come again."""
        self._done.update(self._polled)

    async def close(self, within: float = 5.0) -> None:
        """Tell Kafka what is done and leave the group; gives up after `within` seconds. Called once, at the end."""
        self._thread.shutdown()
        # Without its coordinator the client takes 45 s to close: a daemon thread holds up no exit.
        closer = threading.Thread(target=self._close, name="consumer-close", daemon=True)
        closer.start()
        await asyncio.to_thread(closer.join, within)
        if closer.is_alive():
            _log.warning("kafka does not answer; left without a goodbye", bootstrap=self._bootstrap)

    def _make(self) -> Consumer:
        consumer = Consumer(self._settings)
        consumer.subscribe([self._topic], on_revoke=self._on_revoke, on_lost=self._on_lost)
        return consumer

    def _poll(self, within: float) -> list[Arrival]:
        try:
            consumer = self._consumer = self._consumer or self._make()
            messages = consumer.consume(MAX_READINGS, within)
            for partition in consumer.position(consumer.assignment()):
                if partition.offset >= 0:
                    self._polled[partition.partition] = partition.offset
            self._commit(consumer)
        except KafkaException as error:
            self._give_up_consumer(error)
            return []
        return [arrival for message in messages if (arrival := self._read(message)) is not None]

    def _read(self, message: Message) -> Arrival | None:
        if (error := message.error()) is not None:
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client gives it no public name
                self._complain("kafka cannot be read", problem=explain_reading(error))
            return None
        key, value = message.key(), message.value() or b""
        problem = f"larger than {RECORD_LIMIT} bytes"
        if len(value) + len(key or b"") <= RECORD_LIMIT:
            try:
                return Arrival(message.offset() or 0, key, decode_reading(value))
            except WireError as error:
                problem = str(error)
        self.unreadable += 1
        place = {"partition": message.partition(), "offset": message.offset()}
        self._complain("record is no reading", **place, problem=problem, so_far=self.unreadable)
        return None

    def _commit(self, consumer: Consumer) -> None:
        """Tell Kafka what is done, without waiting, if it has not been told."""
        now = time.monotonic()
        if self._done.items() <= self._committed.items() or now < self._next_commit:
            return
        self._next_commit = now + COMMIT_EVERY
        self._send_commit(consumer, self._done)

    def _send_commit(self, consumer: Consumer, offsets: dict[int, int]) -> None:
        partitions = [TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()]
        consumer.commit(offsets=partitions, asynchronous=True)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            problem = error or partition.error
            if problem is None:
                self._committed[partition.partition] = partition.offset
            else:
                self._complain("position not committed; will try again", problem=explain_reading(problem))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Partitions go to another member, or back at the end: it shall begin where we stopped."""
        offsets = {p.partition: self._done[p.partition] for p in partitions if p.partition in self._done}
        if offsets:
            with contextlib.suppress(KafkaException):
                self._send_commit(consumer, offsets)
        self._forget(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Partitions are another member's already: a commit now could set it back."""
        self._forget(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        for positions in (self._polled, self._done, self._committed):
            for partition in partitions:
                positions.pop(partition.partition, None)

    def _give_up_consumer(self, error: KafkaException) -> None:
        """The next poll makes a new one."""
        self._complain("kafka consumer rebuilt", problem=explain_reading(error.args[0]))
        self._close()
        for positions in (self._polled, self._done, self._committed):
            positions.clear()
        time.sleep(1)

    def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(KafkaException):
                consumer.close()

    def _complain(self, event: str, **fields: object) -> None:
        now = time.monotonic()
        if now >= self._complained.get(event, 0.0):
            self._complained[event] = now + COMPLAIN_EVERY
            _log.warning(event, topic=self._topic, **fields)


def explain_reading(error: KafkaError) -> str:
    """As client.explain, for who reads."""
    remedies = {
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to read the topic",
        KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to read as this consumer group",
    }
    remedy = remedies.get(error.code())
    return f"{error.str()}; {remedy}" if remedy else explain(error)
