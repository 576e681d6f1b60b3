"""SPOOL -> Kafka: takes batches from the head, sends them, and forgets them when Kafka has them. Retries for ever.

Nothing is sent before Kafka has said how far it is; what it has is taken off the spool.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential, wait_random

from gateway.clock import Clock
from gateway.config import GatewayConfig
from gateway.heartbeat import Heartbeat
from gateway.kafka.client import KafkaUnavailableError, Record
from gateway.kafka.sink import MAX_RECORDS, PositionUnknownError, Sink
from gateway.ledger import Ledger
from gateway.position import Position
from gateway.records import Records
from gateway.round import Round
from gateway.spool import Batch, Spool

_log = structlog.get_logger()

ROUND: Final = MAX_RECORDS - 1
"""Readings and dead letters of a round: a status record may travel with them."""

LONGEST_PAUSE: Final = 10.0
"""Seconds between two attempts at most; from a fifth of a second, doubled, with jitter."""

RENEW_EVERY: Final = 3600.0
"""Seconds after which the position is committed again though nothing was sent: Kafka forgets one that is a week old."""

LATE: Final = 5.0
"""Seconds by which a batch may be closed late, on a machine that is busy."""

LAST_WORD_DEADLINE: Final = 5.0
"""Seconds that an orderly stop waits for Kafka to take the last position."""


class RivalError(Exception):
    """Another daemon delivers under this gateway's id: this one must end. The text is for a person."""


class _PendingError(Exception):
    """Not everything was acknowledged: try again."""


class Forward:
    """Delivers what the spool holds, in order. Used from one event loop; one round at a time.

    Attributes:
        sink: where it delivers to now.
        busy: held while it asks Kafka anything: who holds it has run() wait between two rounds.
        last_delivery: when Kafka last acknowledged a round, in seconds of the monotonic clock; 0.0 before the first.
        unclean_stops: how often a run of this gateway ended without its last word; None until Kafka has told.
    """

    def __init__(
        self, spool: Spool, sink: Sink, ledger: Ledger, config: GatewayConfig, gateway: str, *, clock: Clock
    ) -> None:
        """`gateway` is the id that goes into every record."""
        self.sink = sink
        self._spool = spool
        self._ledger = ledger
        self._gateway = gateway
        self._clock = clock
        self._attempt_done: Callable[[], None] = lambda: None
        self._heartbeat: Heartbeat | None = None
        self.use(config)
        self.busy = asyncio.Lock()
        # Made once: making it costs more than a round that succeeds at once.
        self._retried = AsyncRetrying(
            after=lambda _: self._attempt_done(),
            wait=wait_exponential(0.2, LONGEST_PAUSE) + wait_random(0, 0.2),
            retry=retry_if_exception_type((_PendingError, KafkaUnavailableError)),
        )
        self._on_its_way: Round | None = None
        self._predecessor = ""
        self._resumed = False  # whether Kafka has told where the run before this one stopped
        self._asked = False  # whether the present sink has told
        self._supplanted = False
        self._said = 0.0
        self.last_delivery = 0.0
        self.unclean_stops: int | None = None

    async def run(self, attempt_done: Callable[[], None], heartbeat: Heartbeat | None = None) -> None:
        """Deliver until cancelled. `attempt_done` hears of every attempt, successful or not, from any thread.

        The status records of `heartbeat` travel with the readings, or by themselves while there are none.

        Raises:
            RivalError: see there.
        """
        self._attempt_done = attempt_done
        self._heartbeat = heartbeat
        async with self.busy:
            await self._retried(self._resume)
        while True:
            try:
                async with asyncio.timeout(1.0):
                    await self._spool.wait()
            except TimeoutError:
                async with self.busy:
                    await self._idle()
                continue
            async with self.busy:
                if batches := await self._spool.read(ROUND):
                    await self._round(batches)

    def use(self, config: GatewayConfig, sink: Sink | None = None) -> None:
        """Go by these settings from now on; with a sink, run() has to begin anew, as it has to be asked first."""
        self._records = Records(config, self._gateway, self._clock)
        self._kafka = config.kafka
        self._latest_batch = round((config.ingest.batch_age + LATE) * 1e9)
        if sink is not None:
            self.sink, self._asked, self._supplanted = sink, False, False
        if self._heartbeat is not None:
            self._heartbeat.move(config.kafka.status_topic)

    async def finish(self) -> None:
        """The last word of this run, after run() was cancelled: where it stopped, and that it stopped in order.

        Takes off the spool what Kafka turns out to have. Never raises for what Kafka does.
        """
        if not self._asked or self._supplanted or not self.sink.link.reachable:
            return
        try:
            async with asyncio.timeout(LAST_WORD_DEADLINE):
                if self._on_its_way is not None:
                    await self._resume()
                await self._say(ended=True)
        except (
            TimeoutError,
            _PendingError,
            KafkaUnavailableError,
            PositionUnknownError,
            RivalError,
        ) as error:
            problem = str(error) or f"no answer in {LAST_WORD_DEADLINE:.0f} s"
            _log.warning("last position not committed", problem=problem)

    async def _idle(self) -> None:
        await self.sink.idle()
        due = self._heartbeat is not None and self._heartbeat.overdue
        if due or time.monotonic() - self._said > RENEW_EVERY:
            await self._renew()
        self._attempt_done()

    async def _renew(self) -> None:
        try:
            await self._say()
        except PositionUnknownError:
            await self._retried(self._resume)
        except _PendingError:
            self._said = time.monotonic()  # in an hour, then

    async def _round(self, batches: Sequence[Batch]) -> None:
        """Deliver these batches, however long it takes, and take them off the spool.

        If it turns out that only Kafka knows whether it has them, it is asked, and what it has is taken off.
        """
        this = self._on_its_way = Round(batches)
        records = [record for batch in batches for record in self._records.of(batch, self._spool.id)]
        records += self._beat(self._records.received(batches[-1]))

        async def attempt() -> None:
            nonlocal records
            sent = await self.sink.send(records, self._position(this), self._attempt_done)
            records = [*sent.pending, *self._in_their_place(this, sent.refused)]
            if sent.pending and not sent.refused:
                raise _PendingError(sent.trouble)

        try:
            while records:
                await self._retried(attempt)
        except PositionUnknownError:
            await self._retried(self._resume)
        else:
            self._settle(this)

    def _beat(self, delivered_until: int, *, stopped: bool = False) -> list[Record]:
        """The status record, if one is due."""
        if self._heartbeat is None or not (stopped or self._heartbeat.due):
            return []
        return [self._heartbeat.record(delivered_until, stopped=stopped)]

    def _is_beat(self, refused: Record, reason: str) -> bool:
        """Whether what Kafka refused is a status record, which nothing takes the place of."""
        return self._heartbeat is not None and self._heartbeat.refused(refused, reason)

    def _in_their_place(self, this: Round, refused: Sequence[tuple[Record, str]]) -> Iterator[Record]:
        """The dead letters to be sent instead of refused records, which are noted."""
        for record, reason in refused:
            if self._is_beat(record, reason):
                continue
            letter = self._records.instead_of(record, reason)
            if letter is None or not self._records.is_letter(record):
                this.refused.append((record, reason))
            if letter is not None:
                yield self._records.of_letter(letter)

    def _settle(self, done: Round) -> None:
        """Kafka has this round: the readings, or the dead letters in the place of those that it refused."""
        done.settle(self._records, self._ledger)
        self._spool.commit(done.last)
        self._on_its_way = None
        self.last_delivery = self._said = time.monotonic()

    async def _resume(self) -> None:
        """Ask Kafka how far it is, and take what it has off the spool.

        Raises:
            KafkaUnavailableError, _PendingError: try again.
            RivalError: see there.
        """
        topics = [self._kafka.readings_topic, self._kafka.dead_letters_topic, self._kafka.status_topic]
        found = await self.sink.resume(topics, self._attempt_done)
        if found is not None:
            await self._trim(found)
        self._on_its_way = None
        if not self._asked:
            self._asked = True
            self._predecessor = found.run if found is not None else ""
        if not self._resumed:
            self._resumed = True
            self._take_over(found)
        spool = self._spool
        if found is None or found.ended or (found.spool, found.run) != (spool.id, spool.run_id):
            try:
                await self._say()  # so that a rival finds us, and the next start finds this run
            except PositionUnknownError as error:
                raise _PendingError(str(error)) from None

    async def _trim(self, found: Position) -> None:
        """Take off the spool what Kafka has, unless its position is of another life of this spool."""
        spool = self._spool
        ours = found.run == spool.run_id
        if self._asked and not ours and found.run != self._predecessor:
            self._supplanted = True
            raise RivalError(
                f"another gateway delivers as {self._gateway!r}, so this one ends: give each its own id "
                "(id in [gateway]), or stop one of them"
            )
        if found.spool != spool.id:
            return
        if not spool.knows(found.run, found.epoch):
            await spool.begin_lineage(
                "Kafka's position is of a run that this spool does not know: it is an old copy"
            )
        elif ours and self._on_its_way is not None and self._on_its_way.last == found.last:
            self._settle(self._on_its_way)
        else:
            await spool.trim(found.last)

    def _take_over(self, found: Position | None) -> None:
        """Go on where the run before this one stopped counting."""
        if found is None:
            self.unclean_stops = 0
            return
        self._ledger.resume(found.ledger)
        self.unclean_stops = found.unclean_stops + (not found.ended)
        if not found.ended:
            _log.warning("the last run did not end in order", unclean_stops=self.unclean_stops)

    async def _say(self, *, ended: bool = False) -> None:
        """Commit the position without readings; a status record that is due travels with it."""
        held = self._spool.depth().oldest
        records = self._beat(held or self._clock.now() - (0 if ended else self._latest_batch), stopped=ended)
        sent = await self.sink.send(records, self._position(None, ended=ended), self._attempt_done)
        if sent.refused:  # and the position with it
            self._is_beat(*sent.refused[0])
            sent = await self.sink.send([], self._position(None, ended=ended), self._attempt_done)
        if sent.trouble:
            raise _PendingError(sent.trouble)
        self._said = time.monotonic()

    def _position(self, this: Round | None, *, ended: bool = False) -> Position:
        """The position once this round is in Kafka."""
        totals = self._ledger.totals()
        if this is not None:
            this.add_to(totals, self._records)
        last = this.last if this is not None else self._spool.position
        spool = self._spool
        return Position(spool.id, spool.run_id, spool.epoch, last, self.unclean_stops or 0, ended, totals)
