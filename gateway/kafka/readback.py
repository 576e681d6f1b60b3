"""Reads topics back from their beginning to their present end, in no group, and the positions of gateways."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from gateway.config import Kafka
from gateway.kafka.client import cursor_group, explain_reading, no_answer, properties
from gateway.kafka.diagnosis import cause
from gateway.position import Position, position_of

FIRST_ANSWER: Final = 1.5
"""Seconds after which it is looked into why the cluster gives none."""

ANSWER_TIMEOUT: Final = 10.0
"""Seconds that one question to the cluster may take."""

STALL: Final = 30.0
"""Seconds without any record after which reading is given up."""

LOT: Final = 10_000

Arrival = tuple[str, int, int, int, bytes | None]
"""Topic, partition, offset, when it was sent (milliseconds since 1970 UTC), and value of a record."""

_Partition = tuple[str, int]

_TELLING: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE})  # noqa: SLF001
"""These say why no broker is up, so the last of them is remembered."""


class ReadbackError(Exception):
    """The topics cannot be read. The text says why and what to do."""


class Readback:
    """Every committed record of some topics. Used from one thread; close() it.

    Attributes:
        absent: those of the topics that do not exist.
        total: offsets between beginning and end, as they were; a few are no records.
        expired: retention may have removed what was sent up to this time, in milliseconds since 1970 UTC; 0: nothing
            was removed, or only what was sent within some time is read.
        places: by topic and partition, where what is read begins and ends, as it was.
    """

    def __init__(
        self, config: Kafka, topics: Sequence[str], sent: tuple[int | None, int | None] = (None, None)
    ) -> None:
        """Ask the cluster what there is.

        `sent`: only what was sent from then on, and before then, in milliseconds since 1970 UTC.

        Raises:
            ReadbackError: see there.
        """
        self._config = config
        self._sent = sent
        self._why: KafkaError | None = None
        self._astray = False
        try:
            self._consumer = Consumer(
                {
                    "auto.offset.reset": "error",  # what retention removes before our eyes is no loss
                    "enable.auto.commit": False,
                    "enable.partition.eof": True,
                    "fetch.queue.backoff.ms": 5,
                    "fetch.wait.max.ms": 20,  # behind the last record of a transaction the end shows only in the next answer
                    "queued.max.messages.kbytes": 16_384,  # with the next, what a topic takes of the memory
                    "fetch.message.max.bytes": 262_144,  # of each partition at a time, before decompression
                    "group.id": "gatewayctl-verify",
                    "isolation.level": "read_committed",
                    "log_level": 0,
                    **properties(config, "gatewayctl-verify"),
                    "error_cb": self._on_error,
                }
            )
        except KafkaException as error:
            raise ReadbackError(
                f"kafka.options: refused by the Kafka client: {error.args[0].str()}"
            ) from None
        self.absent: list[str] = []
        self.places: dict[_Partition, tuple[int, int]] = {}
        self.total = self.expired = 0
        self._ends: dict[_Partition, int] = {}
        self._reached: dict[_Partition, int] = {}
        try:
            self._open(topics)
        except ReadbackError:
            self.close()
            raise

    def lots(self) -> Iterator[list[Arrival]]:
        """What there is up to the ends as they are known, in order within each partition; a lot may be empty.

        Raises:
            ReadbackError: see there.
        """
        deadline = time.monotonic() + STALL
        while any(self._reached[one] < end for one, end in self._ends.items()):
            lot = self._next()
            if self._sent[1] is not None:
                lot = self._before_end(lot)
            if lot:
                deadline = time.monotonic() + STALL
            elif time.monotonic() > deadline:
                why = explain_reading(self._why) if self._why else "is Kafka running?"
                raise ReadbackError(f"no record came for {STALL:.0f} s: {why}")
            yield lot

    def _before_end(self, lot: list[Arrival]) -> list[Arrival]:
        """Those that are wanted; of what has come to its end no more is fetched."""
        over = [one for one in {arrival[:2] for arrival in lot} if self._reached[one] >= self._ends[one]]
        if over:
            self._consumer.pause([TopicPartition(*one) for one in over])
        return [one for one in lot if one[2] < self._ends[one[0], one[1]]]

    def more(self) -> None:
        """Let lots() go on to the ends as they are now, also after an error: from behind what it has given.

        Raises:
            ReadbackError: see there.
        """
        begins = self._take_ends()
        if self._astray:
            self._astray = False
            within = {one: begin <= self._reached[one] <= self._ends[one] for one, begin in begins.items()}
            self._assign({one: self._reached[one] if within[one] else begins[one] for one in begins})

    def positions(self, gateways: Iterable[str]) -> tuple[dict[str, Position], str]:
        """Those of these gateways whose position Kafka has, and why one could not be read (empty: none)."""
        admin = AdminClient({**properties(self._config, "gatewayctl-verify"), "log_level": 0})
        place = TopicPartition(self._config.readings_topic, 0)
        found: dict[str, Position] = {}
        trouble = ""
        for gateway in gateways:
            group = ConsumerGroupTopicPartitions(cursor_group(gateway), [place])
            try:
                asked = admin.list_consumer_group_offsets([group], require_stable=True)
                [answer] = asked[cursor_group(gateway)].result(ANSWER_TIMEOUT).topic_partitions
            except KafkaException as error:
                trouble = explain_reading(error.args[0])
                continue
            except TimeoutError:
                trouble = f"no answer in {ANSWER_TIMEOUT:.0f} s"
                continue
            if answer.error is not None:
                trouble = explain_reading(answer.error)
            elif answer.offset >= 0 and (position := position_of(answer.offset, answer.metadata or "")):
                found[gateway] = position
        return found, trouble

    def close(self) -> None:
        """Leave the cluster."""
        with suppress(KafkaException):
            self._consumer.close()

    def _open(self, topics: Sequence[str]) -> None:
        self._await_answer()
        for topic in topics:
            found = self._partitions_of(topic)
            self._reached.update(dict.fromkeys(found, 0))
            if not found:
                self.absent.append(topic)
        if self._config.readings_topic in self.absent:
            raise ReadbackError(
                f"{self._config.bootstrap_servers}: there is no topic {self._config.readings_topic!r}; "
                "has a gateway sent anything, and is the name right?"
            )
        begins = self._take_ends()
        self.total = sum(self._ends[one] - begin for one, begin in begins.items())
        if self._sent == (None, None):
            self.expired = self._expiry(begins)
        self.places = {one: (begin, self._ends[one]) for one, begin in begins.items()}
        self._assign(begins)

    def _on_error(self, error: KafkaError) -> None:
        if self._why is None or error.code() in _TELLING:
            self._why = error

    def _fail(self, error: KafkaException) -> NoReturn:
        self._astray = True
        with suppress(KafkaException):
            self._consumer.poll(0)  # hears of the errors of connections
        if self._why is not None and self._why.code() in _TELLING:
            said = explain_reading(self._why)
        elif error.args[0].code() > 0:  # it has answered
            said = explain_reading(error.args[0])
        else:
            said = no_answer(self._config, error.args[0])
        raise ReadbackError(f"{self._config.bootstrap_servers}: {said}") from None

    def _await_answer(self) -> None:
        """Wait for any answer of the cluster. Not to the end where it can be seen that none will come."""
        try:
            self._consumer.list_topics(timeout=FIRST_ANSWER)
        except KafkaException as error:
            if why := cause(properties(self._config, "gatewayctl")):
                raise ReadbackError(f"{self._config.bootstrap_servers}: {why}") from None
            if error.args[0].code() > 0:
                self._fail(error)

    def _partitions_of(self, topic: str) -> list[_Partition]:
        try:
            found = self._consumer.list_topics(topic, ANSWER_TIMEOUT).topics[topic]
        except KafkaException as error:
            self._fail(error)
        if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._fail(KafkaException(found.error))
        return [(topic, number) for number in found.partitions]

    def _take_ends(self) -> dict[_Partition, int]:
        """Note where the partitions end now; returns where they begin."""
        begins = {}
        try:
            for one in self._reached:
                begins[one], self._ends[one] = self._consumer.get_watermark_offsets(
                    TopicPartition(*one), ANSWER_TIMEOUT
                )
            for place, moment in enumerate(self._sent):
                if moment is not None:
                    self._bound(begins if place == 0 else self._ends, moment)
        except KafkaException as error:
            self._fail(error)
        return begins

    def _bound(self, places: dict[_Partition, int], moment: int) -> None:
        """Put each place where the first record is that was sent then or later; at the end if there is none."""
        asked = [TopicPartition(*one, moment) for one in places]
        for found in self._consumer.offsets_for_times(asked, ANSWER_TIMEOUT):
            one = found.topic, found.partition
            places[one] = found.offset if found.offset >= 0 else self._ends[one]

    def _assign(self, begins: dict[_Partition, int]) -> None:
        self._reached.update(begins)
        self._consumer.assign([TopicPartition(*one, begin) for one, begin in begins.items()])

    def _next(self) -> list[Arrival]:
        arrivals: list[Arrival] = []
        reached: dict[_Partition, int] = {}
        try:
            messages = self._consumer.consume(LOT, 0.1)
        except KafkaException as error:
            self._fail(error)
        for message in messages:
            topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
            if (problem := message.error()) is None:
                arrivals.append((topic, partition, offset, message.timestamp()[1], message.value()))
                reached[topic, partition] = offset + 1
            elif problem.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client gives it no public name
                reached[topic, partition] = max(offset, self._reached[topic, partition])
            elif problem.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
                self._astray = True
                raise ReadbackError("retention removed records while they were read; try again")
            elif not problem.retriable() and problem.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
                self._fail(KafkaException(problem))
            else:
                self._on_error(problem)
        self._reached.update(reached)
        return arrivals

    def _expiry(self, begins: dict[_Partition, int]) -> int:
        """What retention removed from a partition was sent before the first record left in it, or is older than it allows."""
        cut = {one: begin for one, begin in begins.items() if begin > 0}
        first: dict[_Partition, int] = {}
        self._assign(cut)
        deadline = time.monotonic() + STALL
        while any(one not in first and self._reached[one] < self._ends[one] for one in cut):
            for topic, partition, _, sent, _ in self._next():
                first.setdefault((topic, partition), sent)
            if time.monotonic() > deadline:
                raise ReadbackError(f"no record came for {STALL:.0f} s")
        emptied = {topic for topic, partition in cut if (topic, partition) not in first}
        return max([*first.values(), *(self._oldest(topic) for topic in emptied)], default=0)

    def _oldest(self, topic: str) -> int:
        """Since when the topic keeps everything, by its settings; now, if they cannot be read or bound its size."""
        admin = AdminClient({**properties(self._config, "gatewayctl-verify"), "log_level": 0})
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        now = time.time_ns() // 1_000_000
        try:
            settings = admin.describe_configs([resource])[resource].result(ANSWER_TIMEOUT)
        except (KafkaException, TimeoutError):
            return now
        keeps, size = int(settings["retention.ms"].value), int(settings["retention.bytes"].value)
        return now - keeps if keeps >= 0 and size < 0 else now
