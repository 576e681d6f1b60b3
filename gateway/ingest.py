"""SOURCE -> batch -> spool: runs every source and closes batches by size or age."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from devices.reading import Reading
from devices.source import Source
from gateway.clock import Clock
from gateway.config import Ingest as IngestSettings
from gateway.feed import Feed
from gateway.intake import SourceIntake
from gateway.ledger import Ledger
from gateway.presence import Presence
from gateway.sources import SourceSpec
from gateway.spool import Batch, Spool

BATCH_BYTES: Final = 1_000_000
"""A batch closes at this size whatever its count, so that what is dropped or sent whole stays small."""


WAITS_AFTER: Final = 5.0
"""Seconds without a reading after which a source that may not go on is called one that waits. In good times too there
are moments at which all that a broker may send ahead is on its way to Kafka."""

WORTH_A_ROUND: Final = 100
"""Receipts that a batch has at least when it closes for a sender's window: a round to Kafka costs as much as a hundred
readings, and where a broker's window is not known, a small one is assumed (with 10 it was 235 us a reading, not 100)."""


class Ingest:
    """Owns the sources and the batch being filled. Made and used inside one event loop.

    Life: run() until cancelled, then flush() hands over the last batch, and close() ends the links once everything
    that can be acknowledged was.

    Attributes:
        feeds: each source's link, for the status.
        intakes: what each source hands its input to, in the same order.
        presence: which devices were heard, and when.
        on_readings: hears the readings of each batch, as it closes.
    """

    def __init__(
        self,
        specs: Sequence[SourceSpec],
        spool: Spool,
        ledger: Ledger,
        settings: IngestSettings,
        gateway: str,
        *,
        clock: Clock,
    ) -> None:
        """`gateway` is the id for dead letters."""
        self._spool = spool
        self._settings = settings
        self._clock = clock
        self._batch = Batch(clock.mark())
        self._timer: asyncio.Handle | None = None
        self._hurried = False
        self.presence = Presence(specs, time.monotonic())
        self.on_readings: Callable[[Sequence[Reading]], None] = lambda _: None
        self.feeds: list[Feed] = []
        self.intakes: list[SourceIntake] = []
        self._stand_in_intakes: list[SourceIntake] = []
        for spec in specs:
            feed = Feed(spec.source, spec.stand_in, spec.stand_in_after)
            totals = ledger.source(spec.source.name)
            intake = SourceIntake(spec.source, gateway, totals, self._filling, spool.has_room, now=clock.now)
            intake.allow(spec.devices)
            intake.on_connected = feed.connected
            self.feeds.append(feed)
            self.intakes.append(intake)
            stand_in = SourceIntake(
                spec.source, gateway, totals, self._filling, spool.has_room, now=clock.now
            )
            self._stand_in_intakes.append(stand_in)

    async def run(self, worker_done: Callable[[], None]) -> None:
        """Read all sources until cancelled. `worker_done` hears that the event loop still gets round to its work."""
        async with asyncio.TaskGroup() as group:
            for feed, intake, stand_in in zip(self.feeds, self.intakes, self._stand_in_intakes, strict=True):
                group.create_task(feed.run(intake, stand_in), name=f"source {feed.source.name}")
            while True:
                worker_done()
                self.look_who_waits(time.monotonic())
                if self._clock.adopt():
                    self.flush()
                await asyncio.sleep(1)

    def look_who_waits(self, now: float) -> None:
        """See which sources are made to wait, and which devices are silent though theirs is not. Called once a second."""
        unsafe = self._spool.receipts()
        held = set()
        for feed, intake in zip(self.feeds, self.intakes, strict=True):
            source = feed.source
            stopped = intake.held or 0 < source.window <= unsafe[source]
            quiet = now - max(intake.last_reading, feed.since)
            intake.waits = feed.state == "connected" and stopped and quiet > WAITS_AFTER
            if intake.waits:
                intake.waited = now
            if intake.held or intake.waits:
                held.add(source.name)
        self.presence.tick(now, self.feeds, waiting=held)

    def in_batch(self) -> dict[str, int]:
        """Readings by source in the batch that is being filled."""
        return dict(self._batch.counts)

    def flush(self) -> None:
        """Close the batch being filled and append it to the spool."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._hurried = False
        batch, self._batch = self._batch, Batch(self._clock.mark())
        if batch.readings:
            self.presence.heard(batch, time.monotonic())
            self.on_readings(batch.readings)
        if batch or batch.waiting:
            self._spool.append(batch)

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        """Let every source tell its other side how the gateway is; see Source.announce."""
        for feed in self.feeds:
            feed.source.announce(health, reasons)

    async def close(self) -> None:
        """Close every source, which sends the acknowledgements that are due."""
        await asyncio.gather(*(feed.close() for feed in self.feeds))

    def _filling(self, source: Source, receipt: Any) -> Batch:
        """The batch that takes the next payload of `source`, and its receipt if it has one."""
        batch = self._batch
        if len(batch) >= self._settings.batch_readings or batch.size + batch.letter_size >= BATCH_BYTES:
            self.flush()
            batch = self._batch
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._settings.batch_age, self.flush)
        if receipt is not None:
            waiting = batch.add_receipt(source, receipt)
            if waiting >= WORTH_A_ROUND and 0 < source.window <= 2 * waiting and not self._hurried:
                # Not at once: what has arrived already is still taken along.
                self._hurried = True
                self._timer.cancel()
                self._timer = asyncio.get_running_loop().call_soon(self.flush)
        return batch
