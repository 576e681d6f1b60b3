"""What writing in transactions has in common, whoever writes: records and offsets of a consumer group, all or nothing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from gateway.config import Kafka
from gateway.kafka.client import KafkaUnavailableError, Record, explain, explain_exception, explain_reading
from gateway.kafka.culprits import Suspect, culprits
from gateway.kafka.outcomes import MOVED_ON, Step, step_of
from gateway.kafka.producing import ANSWER_TIMEOUT, Producing, Tally
from gateway.kafka.sink import MAX_RECORDS, Link, PositionUnknownError, Sent
from gateway.kafka.worker import HangError

_log = structlog.get_logger()

T = TypeVar("T")

TRANSACTION_TIMEOUT: Final = 12.0
"""Seconds after which Kafka gives up a transaction of ours that it hears nothing more of. A gateway that dies in the
midst of one holds back the readers of its partitions for that long, and until the broker looks, every ten seconds.
Also how long a record waits for its answer."""

TRIALS: Final = 4
"""Attempts at finding out whether Kafka refuses some records, before a new producer is made."""

COMMIT_DEADLINE: Final = ANSWER_TIMEOUT + 6.0
"""Seconds until the position must be in the transaction and that committed. The client (2.16) overlooks the timeout of
the position, and waits for ever if a broker restarts at the wrong moment: then a new producer is quicker than more
patience."""

REPORT_DEADLINE: Final = TRANSACTION_TIMEOUT + ANSWER_TIMEOUT
"""Seconds until every record must have its report. The client (2.16) forgets some, time-out and all, when their topic is
deleted while they are on their way."""

HOPELESS: Final = {Step.PENDING, Step.REBUILD}
"""After these a producer is not used again: in an outage its transaction has timed out at the broker, and what it
remembers of coordinators may be stale."""


class Offsets(NamedTuple):
    """What goes into a transaction beside its records.

    Attributes:
        places: offsets to be committed, each with its text; there may be none.
        group: the metadata of the consumer group whose offsets they are, as the client gives it.
    """

    places: list[TopicPartition]
    group: Any


class Transactions:
    """A producer that writes in transactions, one at a time. Used from one event loop.

    Whoever makes one with the same transactional id ends the transactions of this one.
    """

    def __init__(
        self,
        config: Kafka,
        client_id: str,
        transactional_id: str,
        refused: Callable[[KafkaError], None] = lambda _: None,
    ) -> None:
        """`refused` hears, in the worker thread, why offsets were not taken. Connects to nothing yet.

        Raises:
            ConfigError: the client refuses a property in `config.options`.
        """
        settings: Mapping[str, Any] = {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": round(1000 * TRANSACTION_TIMEOUT),
        }
        self._producing = Producing(config, client_id, settings)
        self._refused = refused
        self._sending = asyncio.Lock()
        self._fresh = True
        self._ready = False
        self._problem = ""
        self._piece = MAX_RECORDS
        self._moved_on = False

    @property
    def link(self) -> Link:
        """See Sink."""
        return self._producing.reach.link

    async def resume(
        self, make_topics: Callable[[], None], ask: Callable[[], T], attempt_done: Callable[[], None]
    ) -> T:
        """Make ready to send: nothing sent earlier becomes visible after it. Returns what `ask` finds once that is so.

        Both are called in the worker thread.

        Raises:
            KafkaUnavailableError: not now; try again.
        """
        async with self._sending:
            self._ready = False
            try:
                await self._producing.call(self._renew, make_topics)
                attempt_done()
                found = await self._producing.call(self._ask, ask, attempt_done)
            except HangError as error:
                self._fresh, self._problem = False, str(error)
                raise KafkaUnavailableError(str(error)) from None
            self._ready = True
            return found

    async def send(
        self, records: Sequence[Record], offsets: Callable[[], Offsets], attempt_done: Callable[[], None]
    ) -> Sent:
        """Write the records, and the offsets with them once all are acknowledged: all or nothing.

        `offsets` is called then, in the worker thread. See Sink.send for the rest.

        Raises:
            PositionUnknownError: see there.
        """
        async with self._sending:
            if not self._ready:
                raise PositionUnknownError("an earlier call was not finished")
            self._ready = False
            try:
                sent = await self._send(list(records), offsets, attempt_done)
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
        self._producing.reach.over = True
        async with self._sending:
            await self._producing.close()

    def ensure_topics(self, topics: Sequence[str]) -> None:
        """See Producing."""
        self._producing.ensure_topics(topics)

    def prepare(self, work: Callable[[], None]) -> None:
        """See Producing."""
        self._producing.prepare(work)

    def _renew(self, make_topics: Callable[[], None]) -> None:
        """A producer that was used no longer counts, and the topics are there. In the worker thread."""
        if self._producing.reach.over:
            raise KafkaUnavailableError("stopping")
        if not self._fresh or self._producing.outdated():
            self._producing.give_up(self._problem or "a call was not finished")
            self._fresh, self._problem = True, ""
        make_topics()

    def _ask(self, ask: Callable[[], T], attempt_done: Callable[[], None]) -> T:
        """In the worker thread. The order matters: only once the last transaction is completed the offsets stand."""
        try:
            self._producing.producer.init_transactions(ANSWER_TIMEOUT)
            self._fresh = False
            attempt_done()
            found = ask()
        except KafkaException as error:
            problem = error.args[0]
            if not problem.retriable():
                self._fresh, self._problem = False, explain(problem)
            why = self._producing.reach.no_answer(problem)
            self._producing.reach.note(reachable=False, trouble=why)
            raise KafkaUnavailableError(why) from None
        self._producing.reach.note(reachable=True)
        return found

    async def _send(
        self, records: list[Record], offsets: Callable[[], Offsets], attempt_done: Callable[[], None]
    ) -> Sent:
        tally = await self._transaction(records, offsets, attempt_done)
        if tally.suspects:
            found = await culprits(
                tally.suspects, partial(self._trial, attempt_done=attempt_done), self._too_large
            )
            refused = {record for record, _ in found}
            pending = [record for record in records if record not in refused]
            return Sent(0, found, pending, "" if found else "requests were too large")
        if tally.delivered < len(records):
            trouble = tally.trouble or "not acknowledged before the stop"
            if not self._moved_on:
                self._producing.reach.note(reachable=False, trouble=trouble)
            return Sent(0, [], records, trouble)
        return Sent(len(records), [], [], "")

    def _too_large(self, records: int) -> None:
        """Smaller pieces are sent from now on."""
        if records < self._piece:
            self._piece = records
            _log.warning(
                "kafka refuses requests of this size",
                records=records,
                remedy='raise max.message.bytes of the topic, or set "batch.size" in [kafka.options] below it',
            )

    async def _trial(self, records: list[Record], attempt_done: Callable[[], None]) -> list[Suspect]:
        """Which of these Kafka refuses together: a transaction that is always aborted. The first attempt may tell nothing.

        A refused request leaves a gap in the numbers of its partition, which fails the transaction after it.
        """
        for _ in range(TRIALS):
            tally = await self._transaction(records, None, attempt_done)
            if tally.suspects or not tally.pending:
                return tally.suspects
        raise PositionUnknownError(tally.trouble)

    async def _transaction(
        self, records: list[Record], offsets: Callable[[], Offsets] | None, attempt_done: Callable[[], None]
    ) -> Tally:
        """One transaction, committed if it has offsets and all records are acknowledged, else aborted.

        Raises:
            PositionUnknownError: neither is certain.
        """
        producing = self._producing
        self._moved_on = False
        trouble = ""
        try:
            producing.producer.begin_transaction()  # asks nobody
            tally = await self._produce(records, attempt_done)
            trouble = tally.trouble  # the cause; what it leads to says less
            if offsets is not None and tally.steps == {Step.ABORT}:
                trouble = await producing.call(self._why_failed, offsets) or trouble
                tally = tally._replace(trouble=trouble)
            if tally.steps & HOPELESS and not tally.suspects:
                raise PositionUnknownError(tally.trouble)
            if offsets is not None and tally.delivered == len(records):
                trouble = await producing.call_within(COMMIT_DEADLINE, self._commit, offsets)
                if not trouble:
                    return tally
                tally = Tally(0, [], records, trouble, {Step.ABORT})
            await producing.call(producing.producer.abort_transaction, ANSWER_TIMEOUT)
            attempt_done()
        except (KafkaException, SystemError, HangError) as error:
            raise PositionUnknownError(trouble or explain_exception(error)) from None
        return tally

    async def _produce(self, records: list[Record], attempt_done: Callable[[], None]) -> Tally:
        """Piece by piece, until one is not acknowledged."""
        tally = Tally(0, [], [], "", set())
        for first in range(0, len(records), self._piece):
            piece = records[first : first + self._piece]
            latest = await self._producing.produce(piece, attempt_done, REPORT_DEADLINE)
            tally = latest._replace(delivered=tally.delivered + latest.delivered)
            if latest.delivered < len(piece):
                break
        return tally

    def _why_failed(self, offsets: Callable[[], Offsets]) -> str:
        """Why the transaction failed whose records were thrown out: it is told to whoever asks more of it.

        In the worker thread. The transaction is aborted in any case, and what is asked with it.
        """
        places, group = offsets()
        try:
            self._producing.producer.send_offsets_to_transaction(places, group, ANSWER_TIMEOUT)
        except KafkaException as error:
            return explain(error.args[0])
        return ""

    def _commit(self, offsets: Callable[[], Offsets]) -> str:
        """Commit the transaction with its offsets. Returns why it has to be aborted instead; empty if it is committed.

        In the worker thread: both in one go, as each way there and back costs a small round more than its records.

        Raises:
            KafkaException: the producer is finished, or whether it is committed is not known.
        """
        try:
            producer = self._producing.producer
            places, group = offsets()
            if places:
                producer.send_offsets_to_transaction(places, group, ANSWER_TIMEOUT)
        except KafkaException as error:
            if step_of(error.args[0]) in HOPELESS:
                raise
            self._refused(error.args[0])
            self._moved_on = error.args[0].code() in MOVED_ON
            # Who commits a position must be allowed to read what it is of.
            return explain_reading(error.args[0])
        try:
            producer.commit_transaction(ANSWER_TIMEOUT)
        except KafkaException as error:
            if error.args[0].txn_requires_abort():
                return explain(error.args[0])
            raise
        return ""
