"""What both sinks are made of: a producer, the thread for its blocking calls, and what is known of the way to Kafka."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from gateway.config import ConfigError, Kafka
from gateway.kafka.client import (
    ADMIN_TIMEOUT,
    KafkaUnavailableError,
    Record,
    check_files,
    explain,
    explain_exception,
    properties,
    refused,
    stamps,
)
from gateway.kafka.diagnosis import DEADLINE
from gateway.kafka.handover import Handed, offer
from gateway.kafka.outcomes import UNWRITABLE, Step, step_of
from gateway.kafka.reach import Reach
from gateway.kafka.sink import MAX_RECORDS
from gateway.kafka.topics import ensure_topics
from gateway.kafka.worker import HangError, Worker

_log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

ANSWER_TIMEOUT: Final = ADMIN_TIMEOUT
"""Seconds that one call waits for Kafka."""

HANG: Final = 3 * ADMIN_TIMEOUT + DEADLINE + 2.0
"""Seconds after which a call is taken to hang."""

FIRST_LOOK: Final = 0.005
LONGEST_LOOK: Final = 0.2
"""Seconds until the reports of a send() are fetched, doubled each time: Kafka on a LAN answers within milliseconds, and
in an outage nothing is gained by asking often."""

OFFER: Final = 1000
"""Records that are handed to the client in one go: it wants a dict of each, and those of a whole round take megabytes."""


class Tally(NamedTuple):
    """The reports on some records that were handed to the client.

    Attributes:
        delivered: how many Kafka acknowledged.
        suspects: records in a request that Kafka refuses for good, with the reason: at least one of them is at fault,
            others may only have shared its request.
        pending: records that were not acknowledged, for whatever other reason, in their order.
        trouble: the last such reason.
        steps: what the reports call for.
    """

    delivered: int
    suspects: list[tuple[Record, str]]
    pending: list[Record]
    trouble: str
    steps: AbstractSet[Step]


class Producing:
    """A producer of the Kafka client that can be made anew. Used from one event loop.

    Records are queued and their reports fetched in the loop's own thread: neither waits for Kafka, and a report takes
    the interpreter's lock of its own, so that in another thread each one would wrest it from the loop. What waits for
    Kafka runs in a worker thread, by call().

    Attributes:
        reach: what is known of the way to Kafka.
    """

    def __init__(self, config: Kafka, client_id: str, settings: Mapping[str, Any]) -> None:
        """`settings` are properties of the producer beyond those that all have. Connects to nothing yet.

        Raises:
            ConfigError: the client refuses a property, or a file of `tls` cannot be used.
        """
        check_files(config)
        self._config = config
        self._client_id = client_id
        self._settings = settings
        self._beside = {config.dead_letters_topic, config.status_topic}
        self._worker = Worker()
        self.reach = Reach(config)
        self._made_with = stamps(config)
        self._producer: Producer | None = self._make()
        self._renewed = False

    async def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do this in the worker thread, after what was asked of it before.

        Raises:
            HangError: it did not return though it had long been due.
        """
        return await self.call_within(HANG, work, *args, **kwargs)

    async def call_within(self, seconds: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same with a deadline of its own."""
        return await self._worker.call(seconds, work, *args, **kwargs)

    @property
    def producer(self) -> Producer:
        """The present one; made if there is none.

        Raises:
            KafkaException: it cannot be made now, though it could at first: a certificate or key is being replaced.
        """
        if self._producer is None:
            try:
                self._made_with = stamps(self._config)
                check_files(self._config)
                self._producer = self._make()
            except ConfigError as error:
                raise KafkaException(KafkaError(KafkaError._INVALID_ARG, str(error))) from None  # noqa: SLF001
            self._renewed = False
        return self._producer

    def outdated(self) -> bool:
        """Whether a certificate, key or password has been replaced since the producer was made: it reads them once. Blocks."""
        return stamps(self._config) != self._made_with

    def give_up(self, problem: str = "") -> None:
        """End the present producer. In the worker thread. A `problem` is logged."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaException, SystemError):
                producer.purge()
                producer.poll(0)
        if problem:
            _log.warning("kafka producer rebuilt", problem=problem)

    def ensure_topics(self, topics: Sequence[str]) -> None:
        """Make sure that `topics` exist, where the configuration allows it. In the worker thread.

        Raises:
            KafkaUnavailableError: the cluster did not answer.
        """
        if self._config.create_topics:
            self.prepare(partial(ensure_topics, self._config, self._client_id, topics))

    def prepare(self, work: Callable[[], None]) -> None:
        """Do what needs an answer of the cluster, and note whether it gave one. In the worker thread.

        Raises:
            KafkaUnavailableError: it did not.
        """
        try:
            work()
        except KafkaUnavailableError as error:
            self.reach.note(reachable=False, trouble=str(error))
            raise
        self.reach.note(reachable=True)

    async def produce(
        self, records: Sequence[Record], attempt_done: Callable[[], None], within: float = math.inf
    ) -> Tally:
        """Hand over all records and wait until each has its report, or `reach.over`. Never raises for what Kafka does.

        The producer is finished if reports are still missing after `within` seconds.
        """
        suspects: list[tuple[Record, str]] = []
        unwritten: set[Record] = set()
        handed = Handed(records)
        trouble = ""
        steps: set[Step] = set()
        complete = False

        def judge(record: Record, error: KafkaError) -> None:
            nonlocal trouble
            step = step_of(error)
            if record.topic in self._beside and error.code() in UNWRITABLE:
                step = Step.DEAD_LETTER  # nowhere to put it, and it must not hold up the readings behind it
            steps.add(step)
            if step is Step.DEAD_LETTER:
                suspects.append((record, explain(error)))
            else:
                unwritten.add(record)
                # What was thrown out in the wake of another record says less than that one.
                trouble = trouble if trouble and step is Step.ABORT else explain(error)

        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                judge(handed.of(message), error)

        try:
            for first in range(0, len(records), OFFER):
                for record, error in offer(self.producer, records[first : first + OFFER], report):
                    judge(record, error)
            complete = await self._fetch_reports(attempt_done, within)
        except (KafkaException, SystemError, BufferError, HangError) as error:
            # A fatal error of the producer comes as an exception out of produce or poll, sometimes as a SystemError in
            # its wake, and reports can be lost with it: so all that was not refused is pending.
            steps.add(Step.REBUILD)
            trouble = explain_exception(error)
        if complete and not steps:
            self.reach.note(reachable=True)
            return Tally(len(records), [], [], "", steps)
        refused = {record for record, _ in suspects}
        pending = [record for record in records if record in unwritten or not (complete or record in refused)]
        return Tally(len(records) - len(suspects) - len(pending), suspects, pending, trouble, steps)

    async def idle(self) -> None:
        """Let the client report what it saw while there is nothing to send."""
        with contextlib.suppress(KafkaException, SystemError):  # a fatal error shows again at the next send
            self.producer.poll(0)
        if self.reach.in_question():
            await self._look()

    async def close(self) -> None:
        """End the producer and the thread."""
        self.reach.over = True
        with contextlib.suppress(HangError):
            await self.call(self.give_up)
        self._worker.end()

    def _make(self) -> Producer:
        settings: dict[str, Any] = {
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # as the Java client: one key, one partition, whoever writes
            "compression.type": "zstd",
            "compression.level": 1,
            "linger.ms": 2,  # whole batches are handed over at once; waiting would only add latency
            "batch.size": 1_000_000,
            # How long a topic may be unknown before that is an error: less than a record may wait for its answer.
            "topic.metadata.propagation.max.ms": 5_000,
            "queue.buffering.max.messages": 2 * MAX_RECORDS,
            "queue.buffering.max.kbytes": 32_768,
            "delivery.report.only.error": True,
            **self._settings,
            **properties(self._config, self._client_id),
            "error_cb": self.reach.reported,
            "log_level": 0,  # every connection failure comes to error_cb too; Reach says it once
        }
        try:
            return Producer(settings)
        except (KafkaException, TypeError, ValueError) as error:
            raise refused(self._config, error) from None

    async def _fetch_reports(self, attempt_done: Callable[[], None], within: float) -> bool:
        """Until every record has its end, or `reach.over`; returns whether every one has."""
        producer, pause, began = self.producer, FIRST_LOOK, time.monotonic()
        while len(producer) and not self.reach.over:
            if time.monotonic() - began > within:
                raise HangError(f"the Kafka client did not report in {within:.0f} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK)
            producer.poll(0)
            if self.reach.in_question():
                await self._look()
            if self._renewed and self.reach.link.reachable is False:
                raise HangError("a certificate, key or password was replaced, and this client is not let in")
            attempt_done()
        return not len(producer)

    async def _look(self) -> None:
        with contextlib.suppress(HangError):
            await self.call(self._probe)

    def _probe(self) -> None:
        """Ask the cluster itself. In the worker thread."""
        self.reach.looking()
        try:
            self.producer.list_topics(self._config.readings_topic, timeout=1.0)
        except KafkaException as error:
            self._renewed = self.outdated()
            self.reach.note(reachable=False, trouble=self.reach.no_answer(error.args[0]))
        else:
            self.reach.note(reachable=True)
