"""Reads the readings topic as a member of a consumer group."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from gateway.config import Kafka
from gateway.kafka.client import explain_reading, properties, refused
from gateway.wire import Arrival, WireError, decode_reading

_log = structlog.get_logger()

MAX_READINGS: Final = 10_000
"""Readings that one poll brings at most."""

RECORD_LIMIT: Final = 32_768
"""Bytes of key and value of a record beyond which it is not looked at: more than a gateway ever sends."""

SESSION: Final = 6.0
"""Seconds after which Kafka gives the partitions of a member that died to others: the least that brokers allow."""


class Polled(NamedTuple):
    """What a poll brought of one partition.

    Attributes:
        partition: of the readings topic.
        arrivals: in order; without what is no reading.
        next_offset: behind the last record that was polled; 0 if there was none.
        end: where the partition ended, if that was seen: all that was written before is polled.
    """

    partition: int
    arrivals: list[Arrival]
    next_offset: int
    end: int = 0


class Taken(NamedTuple):
    """What a poll brought, in the order in which to deal with it.

    Attributes:
        lost: partitions that are another member's now; what was known of them no longer counts.
        assigned: partitions that are ours from now on (be it again); nothing comes of one before begin().
        polled: of partitions that were ours all the time.
    """

    lost: list[int]
    assigned: list[int]
    polled: list[Polled]


class ReadingsConsumer:
    """A member of the group, which shares the partitions out among its members.

    Used from one event loop; calls must not overlap. It polls in one worker thread of its own.
    Cooperative: partitions that stay are read on while others move. Nothing is lost or assigned but within a poll().
    It waits for Kafka for as long as it takes, and leaves it to the outlet to say that it is away.

    Attributes:
        unreadable: records so far that are no readings; they were skipped.
        group: the metadata of the group as of the last poll: what is committed with it counts only as long as no
            partition has been given to another member since.
        ends: by partition that is read, where it ended when Kafka last brought something of it.
    """

    def __init__(self, config: Kafka, group: str) -> None:
        """Waits for no connection.

        Raises:
            ConfigError: the client refuses a property in `config.options`.
        """
        self.unreadable = 0
        self.group: Any = None
        self.ends: Mapping[int, int] = {}
        self._bootstrap = config.bootstrap_servers
        self._topic = config.readings_topic
        self._lost: list[int] = []
        self._assigned: list[int] = []
        self._beginning: dict[int, int] = {}
        self._ours: set[int] = set()
        self._live: set[int] = set()
        self._held = False
        self._kept: list[Polled] = []
        classic = config.options.get("group.protocol") != "consumer"
        self._settings: dict[str, Any] = {
            "group.id": group,
            "auto.offset.reset": "earliest",  # where to begin is said; this is for what retention removes before our eyes
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "fetch.queue.backoff.ms": 5,  # the default, a second, halves the rate whenever the queue was full
            "fetch.wait.max.ms": 100,  # a partition that begins waits for a fetch of the others
            "queued.min.messages": 20_000,  # with the next, what a backlog takes of the memory: two polls ahead
            "queued.max.messages.kbytes": 16_384,
            "fetch.message.max.bytes": 131_072,  # of each partition at a time, before decompression
            "isolation.level": "read_committed",
            "topic.metadata.refresh.interval.ms": 10_000,  # a topic made after us is found this soon
            # The newer protocol leaves both to the broker, and a dead member its partitions for 45 s.
            **(
                {"session.timeout.ms": round(1000 * SESSION), "heartbeat.interval.ms": 1500}
                if classic
                else {}
            ),
            **properties(config, group),
            **({"partition.assignment.strategy": "cooperative-sticky"} if classic else {}),
            "log_level": 0,  # the outlet says it when Kafka is away
        }
        try:
            self._consumer: Consumer | None = self._make()
        except KafkaException as error:
            raise refused(config, error) from None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="consumer")

    async def poll(self, within: float = 0.1) -> Taken:
        """What is next; after `within` seconds as much as there is, be it nothing. Never raises for what Kafka does."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._poll, within, False)

    async def keep(self) -> Taken:
        """Stay a member, and take no readings: for while those that were taken cannot be dealt with."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._poll, 0.1, True)

    def begin(self, partition: int, offset: int) -> None:
        """Let the readings of an assigned partition come, from this offset on."""
        self._beginning[partition] = offset

    async def commit(self, offsets: Mapping[int, int]) -> str:
        """Tell Kafka up to where all is dealt with. Returns why it did not take that; empty if it did."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, offsets)

    async def close(self, within: float = 5.0) -> None:
        """Leave the group, so that others take over at once; gives up after `within` seconds. Called once, at the end."""
        self._thread.shutdown()
        # Without its coordinator the client takes 45 s to close: a daemon thread holds up no exit.
        closer = threading.Thread(target=self._close, name="consumer-close", daemon=True)
        closer.start()
        await asyncio.to_thread(closer.join, within)
        if closer.is_alive():
            _log.warning("kafka consumer left without a goodbye", bootstrap=self._bootstrap)

    def _make(self) -> Consumer:
        consumer = Consumer(self._settings)
        consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_lost, on_lost=self._on_lost
        )
        return consumer

    def _poll(self, within: float, hold: bool) -> Taken:  # noqa: FBT001 - of poll() and keep()
        messages: list[Message] = []
        try:
            consumer = self._consumer = self._consumer or self._make()
            self._hold(consumer, hold)
            self._begin(consumer)
            messages = consumer.consume(MAX_READINGS, within)
            self.group = consumer.consumer_group_metadata()
            self.ends = {one: self._end_of(consumer, one) for one in self._live}
        except KafkaException as error:
            self._give_up_consumer(error)
        lost, assigned, self._lost, self._assigned = self._lost, self._assigned, [], []
        polled = self._kept + self._read(messages)
        self._kept = polled if hold else []
        return Taken(lost, assigned, [] if hold else polled)

    def _read(self, messages: list[Message]) -> list[Polled]:
        """Of the partitions that are live, also after this poll."""
        arrivals: dict[int, list[Arrival]] = {partition: [] for partition in self._live}
        behind: dict[int, int] = {}
        ends: dict[int, int] = {}
        for message in messages:
            partition, offset = message.partition(), message.offset()
            if (error := message.error()) is not None or offset is None or partition not in arrivals:
                if error is None or error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - no public name
                    self._note(message)
                elif offset is not None and partition in arrivals:
                    ends[partition] = offset
                continue
            behind[partition] = offset + 1
            key, value = message.key(), message.value() or b""
            problem = f"larger than {RECORD_LIMIT} bytes"
            if len(value) + len(key or b"") <= RECORD_LIMIT:
                try:
                    arrivals[partition].append(Arrival(offset, key, decode_reading(value)))
                    continue
                except WireError as error:
                    problem = str(error)
            self.unreadable += 1
            _log.warning(
                "record is no reading",
                topic=self._topic,
                partition=partition,
                offset=offset,
                problem=problem,
                so_far=self.unreadable,
            )
        return [
            Polled(one, arrivals[one], behind.get(one, 0), ends.get(one, 0))
            for one in self._live & (behind.keys() | ends.keys())
        ]

    def _note(self, message: Message) -> None:
        if (error := message.error()) is not None:
            _log.warning("kafka cannot be read", topic=self._topic, problem=explain_reading(error))

    def _end_of(self, consumer: Consumer, partition: int) -> int:
        """What the client knows, without a question to Kafka; -1: nothing."""
        return consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)[1]

    def _hold(self, consumer: Consumer, hold: bool) -> None:  # noqa: FBT001 - see _poll
        if hold != self._held:
            (consumer.pause if hold else consumer.resume)(self._places(self._live))
            self._held = hold

    def _begin(self, consumer: Consumer) -> None:
        """Let those come that may; what the client is not ready for waits for the next poll."""
        for partition, offset in list(self._beginning.items()) if not self._held else ():
            try:
                consumer.seek(TopicPartition(self._topic, partition, offset))
            except KafkaException as error:
                _log.warning(
                    "partition does not begin yet",
                    topic=self._topic,
                    partition=partition,
                    problem=explain_reading(error.args[0]),
                )
                continue
            consumer.resume(self._places([partition]))
            del self._beginning[partition]
            self._live.add(partition)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Nothing may come of them yet. The offset is of no account, and spares the client a question."""
        numbers = [one.partition for one in partitions]
        consumer.incremental_assign([TopicPartition(self._topic, number, 0) for number in numbers])
        consumer.pause(self._places(numbers))
        self._assigned += numbers
        self._ours.update(numbers)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget([one.partition for one in partitions])

    def _forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._ours.discard(number)
            self._live.discard(number)
            self._beginning.pop(number, None)
            if number in self._assigned:
                self._assigned.remove(number)
            self._lost.append(number)
        self._kept = [one for one in self._kept if one.partition in self._live]

    def _places(self, numbers: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number) for number in numbers]

    def _commit(self, offsets: Mapping[int, int]) -> str:
        if self._consumer is None:
            return "the consumer is being rebuilt"
        places = [TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()]
        try:
            answers = self._consumer.commit(offsets=places, asynchronous=False) or []
        except KafkaException as error:
            return explain_reading(error.args[0])
        return next((explain_reading(one.error) for one in answers if one.error is not None), "")

    def _give_up_consumer(self, error: KafkaException) -> None:
        """The next poll makes a new one."""
        _log.warning("kafka consumer rebuilt", topic=self._topic, problem=explain_reading(error.args[0]))
        self._close()
        self._forget(list(self._ours))
        self._held = False
        time.sleep(1)

    def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(KafkaException):
                consumer.close()
