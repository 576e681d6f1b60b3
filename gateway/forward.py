"""SPOOL -> Kafka: takes batches from the head, sends them, and forgets them when Kafka has them. Retries for ever."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential_jitter

from gateway.config import GatewayConfig
from gateway.kafka.client import KafkaUnavailableError, Record
from gateway.kafka.sink import MAX_RECORDS, KafkaSink
from gateway.ledger import Ledger
from gateway.spool import Batch, Spool
from gateway.wire import (
    VERSION,
    DeadLetter,
    decode_dead_letter,
    decode_reading,
    encode_dead_letter,
    encode_reading,
    text_of,
)

_log = structlog.get_logger()

LONGEST_PAUSE: Final = 10.0
"""Seconds between two attempts at most; from a fifth of a second, doubled, with jitter."""


class _PendingError(Exception):
    """Not everything was acknowledged: try again."""


class Forward:
    """Delivers what the spool holds, in order. Used from one event loop; one round at a time.

    Attributes:
        last_delivery: when Kafka last acknowledged a round, in seconds of the monotonic clock; 0.0 before the first.
    """

    def __init__(
        self, spool: Spool, sink: KafkaSink, ledger: Ledger, config: GatewayConfig, gateway: str
    ) -> None:
        """`gateway` is the id that goes into every record."""
        self._spool = spool
        self._sink = sink
        self._ledger = ledger
        self._kafka = config.kafka
        self._gateway = gateway
        self._key_prefix = "" if config.gateway.device_names == "global" else f"{gateway}/"
        self._attempt_done: Callable[[], None] = lambda: None
        # Made once: making it costs more than a round that succeeds at once.
        self._retried = AsyncRetrying(
            after=lambda _: self._attempt_done(),
            wait=wait_exponential_jitter(initial=0.2, max=LONGEST_PAUSE, jitter=0.2),
            retry=retry_if_exception_type((_PendingError, KafkaUnavailableError)),
        )
        self.last_delivery = 0.0

    async def run(self, attempt_done: Callable[[], None]) -> None:
        """Deliver until cancelled. `attempt_done` hears of every attempt, successful or not, from any thread."""
        self._attempt_done = attempt_done
        await self._retried(self._prepare)
        while True:
            try:
                async with asyncio.timeout(1.0):
                    await self._spool.wait()
            except TimeoutError:
                await self._sink.idle()
                self._attempt_done()
                continue
            if batches := await self._spool.read(MAX_RECORDS):
                await self._round(batches)

    async def _round(self, batches: Sequence[Batch]) -> None:
        """Deliver these batches, however long it takes, and take them off the spool."""
        records = [record for batch in batches for record in self._encode(batch)]
        for refused, reason in await self._deliver(records):
            await self._bury(refused, reason, batches)
        self._spool.commit(batches[-1].last)
        self.last_delivery = time.monotonic()

    async def _deliver(self, records: list[Record]) -> list[tuple[Record, str]]:
        """Send until everything is acknowledged; returns those that Kafka refuses for good, with the reasons.

        Kafka refuses whole requests: so what was refused together is halved until the culprits are alone.
        """
        suspects: list[tuple[Record, str]] = []

        async def attempt() -> None:
            nonlocal records
            outcome = await self._sink.send(records, self._attempt_done)
            suspects.extend(outcome.refused)
            records = outcome.pending
            if records:
                raise _PendingError(outcome.trouble)

        await self._retried(attempt)
        if len(suspects) < 2:  # noqa: PLR2004 - one alone is the culprit
            return suspects
        halves = suspects[: len(suspects) // 2], suspects[len(suspects) // 2 :]
        return [culprit for half in halves for culprit in await self._deliver([record for record, _ in half])]

    async def _bury(self, record: Record, reason: str, batches: Sequence[Batch]) -> None:
        """Turn a record that Kafka refuses into a dead letter."""
        if record.topic == self._kafka.dead_letters_topic:
            self._give_up(decode_dead_letter(record.value).source, reason)
            return
        reading = decode_reading(record.value)
        batch = next(batch for batch in batches if batch.first <= reading.seq <= batch.last)
        batch.counts[reading.source] -= 1
        self._ledger.refused(reading.source)
        _log.error("reading refused by kafka", source=reading.source, seq=reading.seq, reason=reason)
        # A letter is larger than what it holds: if it is refused as well, the beginning has to do.
        for kept in (record.value, record.value[: len(record.value) // 4]):
            letter = DeadLetter(
                VERSION,
                self._gateway,
                reading.source,
                record.topic,
                f"refused by Kafka: {reason}",
                reading.received,
                len(record.value),
                kept,
                text_of(kept) if kept is record.value else "",
            )
            refused = await self._deliver([self._letter_record(letter)])
            if not refused:
                return
        self._give_up(reading.source, refused[0][1])

    def _give_up(self, source: str, reason: str) -> None:
        """A dead letter that cannot be written must not hold up the readings behind it."""
        self._ledger.source(source).dead_letters_dropped += 1
        _log.error("dead letter refused by kafka", source=source, reason=reason)

    def _encode(self, batch: Batch) -> list[Record]:
        topic, prefix = self._kafka.readings_topic, self._key_prefix
        gateway, spool = self._gateway, self._spool.id
        records = [
            Record(topic, (prefix + r.device).encode(), encode_reading(r, gateway, spool, seq))
            for seq, r in enumerate(batch.readings, batch.first)
        ]
        records += [self._letter_record(letter) for letter in batch.letters]
        return records

    def _letter_record(self, letter: DeadLetter) -> Record:
        return Record(self._kafka.dead_letters_topic, letter.source.encode(), encode_dead_letter(letter))

    async def _prepare(self) -> None:
        await self._sink.prepare([self._kafka.readings_topic, self._kafka.dead_letters_topic])
