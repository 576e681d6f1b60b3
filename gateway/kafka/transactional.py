"""Exactly once: readings and the position in one transaction."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from gateway.config import Kafka
from gateway.kafka.client import KafkaUnavailableError, Record, cursor_group, explain, properties
from gateway.kafka.outcomes import Step, step_of
from gateway.kafka.producing import ANSWER_TIMEOUT, Producing, Tally, explain_exception
from gateway.kafka.sink import MAX_RECORDS, Link, PositionUnknownError, Sent
from gateway.kafka.worker import HangError
from gateway.position import Position, position_of

_log = structlog.get_logger()

TRANSACTION_TIMEOUT: Final = 12.0
"""Seconds after which Kafka gives up a transaction of ours that it hears nothing more of. A gateway that dies in the
midst of one holds back the readers of its partitions for that long. Also how long a record waits for its answer."""

TRIALS: Final = 4
"""Attempts at finding out whether Kafka refuses some records, before a new producer is made."""

POSITION_DEADLINE: Final = 6.0
"""Seconds until the position must be in the transaction. The client (2.16) overlooks the timeout of this one call, and
waits for ever if a broker restarts at the wrong moment: then a new producer is quicker than more patience."""

HOPELESS: Final = {Step.PENDING, Step.REBUILD}
"""After these a producer is not used again: in an outage its transaction has timed out at the broker, and what it
remembers of coordinators may be stale."""


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
        self._producing = Producing(
            config,
            name,
            {"transactional.id": name, "transaction.timeout.ms": round(1000 * TRANSACTION_TIMEOUT)},
        )
        self._group = cursor_group(gateway)
        self._group_metadata: Any = None
        self._sending = asyncio.Lock()
        self._fresh = True
        self._ready = False
        self._problem = ""
        self._piece = MAX_RECORDS

    @property
    def link(self) -> Link:
        """See Sink."""
        return self._producing.link

    async def resume(self, topics: Sequence[str], attempt_done: Callable[[], None]) -> Position | None:
        """See Sink."""
        async with self._sending:
            self._ready = False
            try:
                await self._producing.call(self._renew, topics)
                attempt_done()
                found = await self._producing.call(self._ask, attempt_done)
            except HangError as error:
                self._fresh, self._problem = False, str(error)
                raise KafkaUnavailableError(str(error)) from None
            self._ready = True
            return found

    async def send(
        self, records: Sequence[Record], position: Position, attempt_done: Callable[[], None]
    ) -> Sent:
        """See Sink."""
        async with self._sending:
            if not self._ready:
                raise PositionUnknownError("an earlier call was not finished")
            self._ready = False
            try:
                sent = await self._send(list(records), position, attempt_done)
            except PositionUnknownError as error:
                self._problem = str(error)
                raise
            self._ready = True
            return sent

    async def idle(self) -> None:
        """See Sink."""
        await self._producing.idle()

    async def close(self) -> None:
        """See Sink."""
        self._producing.closing = True
        async with self._sending:
            await self._producing.close()

    def _renew(self, topics: Sequence[str]) -> None:
        """A producer that was used no longer counts, and the topics are there. In the worker thread."""
        if self._producing.closing:
            raise KafkaUnavailableError("the gateway is stopping")
        if not self._fresh:
            self._producing.give_up(self._problem or "a call was not finished")
            self._fresh, self._problem = True, ""
        self._producing.ensure_topics(topics)

    def _ask(self, attempt_done: Callable[[], None]) -> Position | None:
        """In the worker thread. The order matters: only once the last transaction is completed the position stands."""
        try:
            self._producing.producer.init_transactions(ANSWER_TIMEOUT)
            self._fresh = False
            attempt_done()
            found = self._read_position()
        except KafkaException as error:
            problem = error.args[0]
            if not problem.retriable():
                self._fresh, self._problem = False, explain(problem)
            self._producing.note(reachable=False, trouble=explain(problem))
            raise KafkaUnavailableError(explain(problem)) from None
        self._producing.note(reachable=True)
        return found

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
        finally:
            consumer.close()
        if found.error is not None:
            raise KafkaException(found.error)
        if found.offset < 0:
            return None
        position = position_of(found.offset, found.metadata or "")
        if position is None:
            _log.warning(
                "position in kafka is not ours; nothing trimmed", group=self._group, offset=found.offset
            )
        return position

    def _place(self, position: Position | None = None) -> TopicPartition:
        if position is None:
            return TopicPartition(self._config.readings_topic, 0)
        return TopicPartition(self._config.readings_topic, 0, position.last, position.metadata())

    async def _send(
        self, records: list[Record], position: Position, attempt_done: Callable[[], None]
    ) -> Sent:
        tally = await self._transaction(records, position, attempt_done)
        if tally.suspects:
            culprits = await self._culprits(tally, attempt_done)
            refused = {record for record, _ in culprits}
            pending = [record for record in records if record not in refused]
            return Sent(0, culprits, pending, "" if culprits else "requests were too large")
        if tally.delivered < len(records):
            trouble = tally.trouble or "not acknowledged before the gateway stopped"
            self._producing.note(reachable=False, trouble=trouble)
            return Sent(0, [], records, trouble)
        return Sent(len(records), [], [], "")

    async def _culprits(self, tally: Tally, attempt_done: Callable[[], None]) -> list[tuple[Record, str]]:
        """Which of the suspects Kafka refuses each by itself: it refuses whole requests, so they are halved until alone.

        These trials are transactions that are always aborted. Where only the whole was too large, none is at fault,
        and smaller pieces are sent from then on.
        """
        groups, culprits = [tally.suspects], []
        while groups:
            suspects = groups.pop(0)
            if len(suspects) == 1:
                culprits += suspects
                continue
            middle = len(suspects) // 2
            found = []
            for half in (suspects[:middle], suspects[middle:]):
                trial = await self._trial([record for record, _ in half], attempt_done)
                found += [trial.suspects] if trial.suspects else []
            if not found and middle < self._piece:
                self._piece = middle
                _log.warning(
                    "kafka refuses requests of this size; sent in pieces",
                    records=middle,
                    remedy='raise max.message.bytes of the topic, or set "batch.size" in [kafka.options] below it',
                )
            groups += found
        return culprits

    async def _trial(self, records: list[Record], attempt_done: Callable[[], None]) -> Tally:
        """Whether Kafka refuses these together. The first attempt may tell nothing.

        A refused request leaves a gap in the numbers of its partition, which fails the transaction after it.
        """
        for _ in range(TRIALS):
            tally = await self._transaction(records, None, attempt_done)
            if tally.suspects or not tally.pending:
                return tally
        raise PositionUnknownError(tally.trouble)

    async def _transaction(
        self, records: list[Record], position: Position | None, attempt_done: Callable[[], None]
    ) -> Tally:
        """One transaction, committed if it has a position and all records are acknowledged, else aborted.

        Raises:
            PositionUnknownError: neither is certain.
        """
        producing = self._producing
        try:
            await producing.call(producing.producer.begin_transaction)
            tally = await self._produce(records, attempt_done)
            if tally.steps & HOPELESS and not tally.suspects:
                raise PositionUnknownError(tally.trouble)
            if position is not None and tally.delivered == len(records):
                trouble = await producing.call_within(POSITION_DEADLINE, self._add, position)
                attempt_done()
                trouble = trouble or await producing.call(self._commit)
                if not trouble:
                    return tally
                tally = Tally(0, [], records, trouble, {Step.ABORT})
            await producing.call(producing.producer.abort_transaction, ANSWER_TIMEOUT)
            attempt_done()
        except (KafkaException, SystemError, HangError) as error:
            raise PositionUnknownError(explain_exception(error)) from None
        return tally

    async def _produce(self, records: list[Record], attempt_done: Callable[[], None]) -> Tally:
        """Piece by piece, until one is not acknowledged."""
        tally = Tally(0, [], [], "", set())
        for first in range(0, len(records), self._piece):
            piece = records[first : first + self._piece]
            latest = await self._producing.produce(piece, attempt_done)
            tally = latest._replace(delivered=tally.delivered + latest.delivered)
            if latest.delivered < len(piece):
                break
        return tally

    def _add(self, position: Position) -> str:
        """Put the position into the transaction. Returns why this has to be aborted; empty if all is well.

        In the worker thread.

        Raises:
            KafkaException: the producer is finished.
        """
        try:
            self._producing.producer.send_offsets_to_transaction(
                [self._place(position)], self._group_metadata, POSITION_DEADLINE
            )
        except KafkaException as error:
            if step_of(error.args[0]) in HOPELESS:
                raise
            return explain(error.args[0])
        return ""

    def _commit(self) -> str:
        """Returns why the transaction has to be aborted instead; empty if it is committed. In the worker thread.

        Raises:
            KafkaException: whether it is committed is not known.
        """
        try:
            self._producing.producer.commit_transaction(ANSWER_TIMEOUT)
        except KafkaException as error:
            if error.args[0].txn_requires_abort():
                return explain(error.args[0])
            raise
        return ""
