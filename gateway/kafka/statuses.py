"""Hears how the gateways are: reads the topic of their status whole, and knows when it has all there is."""

import time
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import structlog
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, IsolationLevel, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from gateway.config import DetectKafka
from gateway.kafka.client import properties
from gateway.kafka.whole import ANSWER_TIMEOUT, LOOK_EVERY, WholeTopic
from gateway.wire import WireError, decode_gateway_status

_log = structlog.get_logger()

RECORD_LIMIT: Final = 32_768
MOST_GATEWAYS: Final = 100_000
"""Bytes of a record that is looked at; and gateways that are remembered."""

BREAK: Final = 4 * LOOK_EVERY
"""Seconds without knowing all there is after which gateways get time to speak again: it may have been Kafka that was away."""


class Seen(NamedTuple):
    """The last status of a gateway.

    Attributes:
        place: partition and offset of the record.
        at: Kafka's timestamp of it, in nanoseconds since 1970 UTC.
        read: when it was read, in seconds of this machine's monotonic clock.
        age: how old it was then, in seconds, as the clocks of Kafka and of this machine have it; 0 of what was read as it came.
        until, every, unset, stopped: its delivered_until, every_s and clock_unset; and whether its state is `stopped`.
    """

    place: tuple[int, int]
    at: int
    read: float
    age: float
    until: int
    every: float
    unset: bool
    stopped: bool


class Sight(NamedTuple):
    """What was known at one time. Times are of this machine's monotonic clock.

    Attributes:
        at: every status that was in Kafka by then is in `seen`.
        since: from then on that was so without a break.
        seen: the last status of each gateway.
        partitions: how many the readings topic has.
        before: as `seen`, of some time before `ends` was asked for.
        ends: where watched partitions of the readings ended then: what `before` says is delivered lies before.
    """

    at: float
    since: float
    seen: Mapping[str, Seen]
    partitions: int
    before: Mapping[str, Seen]
    ends: Mapping[int, int]


class Statuses:
    """Reads in a thread of its own.

    Attributes:
        sight: the newest; None until all that is there was read for the first time.
        unreadable: records so far that are no status.
    """

    def __init__(self, config: DetectKafka, group: str) -> None:
        """start() begins. `group` is for the name of the client; it is not joined."""
        self.sight: Sight | None = None
        self.unreadable = 0
        self._config = config
        self._client = f"{group}-statuses"
        self._admin: AdminClient | None = None
        self._watched: frozenset[int] = frozenset()
        self._seen: dict[str, Seen] = {}
        self._sought: Sight | None = None
        self._ends: dict[int, int] = {}
        self._reader = WholeTopic(
            config, config.status_topic, self._client, self._take, self._looked, self._taken
        )

    def start(self) -> None:
        """Begin to read, and wait for no connection."""
        self._reader.start()

    def watch(self, partitions: Collection[int]) -> None:
        """Of these partitions of the readings `ends` is to be known from now on.

        Raises what ended the thread, if anything did: see WholeTopic.check.
        """
        self._reader.check()
        self._watched = frozenset(partitions)

    def close(self) -> None:
        """Let the thread end."""
        self._reader.close()

    def _looked(self, consumer: Consumer) -> None:
        """Ask where the topics end now, transactions that are still open included."""
        config = self._config
        at, before = time.monotonic(), dict(self._seen)
        readings = (
            consumer.list_topics(config.readings_topic, ANSWER_TIMEOUT)
            .topics[config.readings_topic]
            .partitions
        )
        wanted = [TopicPartition(config.status_topic, one.partition) for one in consumer.assignment()]
        wanted += [TopicPartition(config.readings_topic, one) for one in self._watched if one in readings]
        if self._admin is None:
            self._admin = AdminClient({**properties(config, self._client), "log_level": 0})
        asked = self._admin.list_offsets(
            {one: OffsetSpec.latest() for one in wanted},  # type: ignore[no-untyped-call] # the client's
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=ANSWER_TIMEOUT,
        )
        found = {one: asked[one].result(2 * ANSWER_TIMEOUT).offset for one in wanted}
        ends = {one.partition: end for one, end in found.items() if one.topic == config.readings_topic}
        self._ends = {one.partition: end for one, end in found.items() if one.topic == config.status_topic}
        self._sought = Sight(at, 0.0, {}, len(readings), before, ends)

    def _taken(self, reached: dict[int, int]) -> None:
        """Once all that was there at the last look is read, it is known how things stood then."""
        sought, last = self._sought, self.sight
        if sought is None or any(reached.get(one, 0) < end for one, end in self._ends.items()):
            return
        self._sought = None
        since = sought.at if last is None or sought.at - last.at > BREAK else last.since
        self.sight = sought._replace(since=since, seen=dict(self._seen))

    def _take(self, message: Message) -> None:
        value, key = message.value(), message.key() or b""
        if not value:
            self._seen.pop(key.decode(errors="replace"), None)
            return
        problem = f"larger than {RECORD_LIMIT} bytes"
        if len(value) <= RECORD_LIMIT:
            try:
                status = decode_gateway_status(value)
            except WireError as error:
                problem = str(error)
            else:
                kind, milliseconds = message.timestamp()
                at = status.time if kind == TIMESTAMP_NOT_AVAILABLE else 1_000_000 * milliseconds
                place = message.partition() or 0, message.offset() or 0
                known = self._seen.get(status.gateway)
                # Where the topic was given more partitions, it may have two records; else the order is that of the topic.
                newer = known is None or known.place[0] == place[0] or known.at <= at
                if newer and (known is not None or len(self._seen) < MOST_GATEWAYS):
                    age = max(0.0, time.time() - at / 1e9) if self.sight is None else 0.0
                    self._seen[status.gateway] = Seen(
                        place,
                        at,
                        time.monotonic(),
                        age,
                        status.delivered_until,
                        status.every_s,
                        status.clock_unset,
                        status.state == "stopped",
                    )
                return
        self.unreadable += 1
        if self.unreadable == 1:
            _log.warning("record is no status", topic=self._config.status_topic, problem=problem)
