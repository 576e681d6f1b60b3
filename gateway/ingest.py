"""SOURCE -> batch -> spool: runs every source and closes batches by size or age."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
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


SAFE_DEADLINE: Final = 10.0
"""Seconds that a source that is taken out waits for what it brought to be safe. Longer only if neither Kafka nor the disk
takes anything."""

LOOK_EVERY: Final = 0.02
"""Seconds between two looks whether it is."""


class Inlet:
    """One source at work.

    Attributes:
        spec: the source, and what the gateway does with it.
        feed: keeps it connected.
        intake: what it hands its input to.
        task: reads it, while Ingest runs.
    """

    def __init__(self, spec: SourceSpec, feed: Feed, intake: SourceIntake, stand_in: SourceIntake) -> None:
        """`stand_in` is what its stand-in hands its input to."""
        self.spec = spec
        self.feed = feed
        self.intake = intake
        self.task: asyncio.Task[None] | None = None
        self._stand_in = stand_in
        intake.allow(spec.devices)
        intake.on_connected = feed.connected

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Read it from now on, until `task` is cancelled."""
        self.task = group.create_task(
            self.feed.run(self.intake, self._stand_in), name=f"source {self.feed.source.name}"
        )

    def adjust(self, spec: SourceSpec) -> None:
        """Do with it what this one says; its source is left alone."""
        self.spec = spec._replace(source=self.feed.source)
        self.intake.allow(spec.devices)
        self.feed.let_stand_in(spec.stand_in, spec.stand_in_after)


class Ingest:
    """Owns the sources and the batch being filled. Made and used inside one event loop.

    Life: run() until cancelled, then flush() hands over the last batch, and close() ends the links once everything
    that can be acknowledged was.

    Attributes:
        settings: when a batch is full.
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
        self.settings = settings
        self._spool = spool
        self._ledger = ledger
        self._gateway = gateway
        self._clock = clock
        self._batch = Batch(clock.mark())
        self._timer: asyncio.Handle | None = None
        self._hurried = False
        self._group: asyncio.TaskGroup | None = None
        self.presence = Presence(specs, time.monotonic())
        self.on_readings: Callable[[Sequence[Reading]], None] = lambda _: None
        self._inlets = {spec.source.name: self._inlet(spec) for spec in specs}

    @property
    def specs(self) -> list[SourceSpec]:
        """Of each source; as all that follows, in the order of the configuration."""
        return [inlet.spec for inlet in self._inlets.values()]

    @property
    def feeds(self) -> list[Feed]:
        """Each source's link."""
        return [inlet.feed for inlet in self._inlets.values()]

    @property
    def intakes(self) -> list[SourceIntake]:
        """What each source hands its input to."""
        return [inlet.intake for inlet in self._inlets.values()]

    async def run(self, worker_done: Callable[[], None]) -> None:
        """Read all sources until cancelled. `worker_done` hears that the event loop still gets round to its work."""
        async with asyncio.TaskGroup() as self._group:
            for inlet in self._inlets.values():
                inlet.begin(self._group)
            while True:
                worker_done()
                self.look_who_waits(time.monotonic())
                if self._clock.adopt():
                    self.flush()
                await asyncio.sleep(1)

    async def end(self, names: Collection[str]) -> None:
        """Stop reading these sources, and close each once what it handed over is safe and acknowledged.

        What is not safe within SAFE_DEADLINE stays unacknowledged: the other side of a source that can wait sends it again.
        follow() takes their place. Cancelled, it leaves them for close().
        """
        await asyncio.gather(*(self._end(self._inlets[name]) for name in names))

    def follow(self, specs: Sequence[SourceSpec], begin: Collection[str], changed: Collection[str]) -> None:
        """These are the sources from now on. Those that were here and are no more, or begin, were ended.

        `begin` names those that are read from now on, `changed` those that go on, with which the gateway does something
        else than before; all others go on as they were. Called while run() is at work.
        """
        before, self._inlets = self._inlets, {}
        for spec in specs:
            name = spec.source.name
            inlet = self._inlet(spec) if name in begin else before[name]
            self._inlets[name] = inlet
            if name in changed:
                inlet.adjust(spec)
            if name in begin and self._group is not None:
                inlet.begin(self._group)
        self.presence.follow(specs, {*begin, *changed})

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
        try:
            if batch.readings:
                self.presence.heard(batch, time.monotonic())
                self.on_readings(batch.readings)
        finally:  # whatever a defect there is: these look at it before the spool may make room in it
            if batch or batch.waiting:
                self._spool.append(batch)

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        """Let every source tell its other side how the gateway is; see Source.announce."""
        for feed in self.feeds:
            feed.source.announce(health, reasons)

    async def close(self) -> None:
        """Close every source, which sends the acknowledgements that are due."""
        await asyncio.gather(*(feed.close() for feed in self.feeds))

    def _inlet(self, spec: SourceSpec) -> Inlet:
        source = spec.source
        totals = self._ledger.source(source.name)
        intake, stand_in = (
            SourceIntake(
                source, self._gateway, totals, self._filling, self._spool.has_room, now=self._clock.now
            )
            for _ in range(2)
        )
        return Inlet(spec, Feed(source, spec.stand_in, spec.stand_in_after), intake, stand_in)

    async def _end(self, inlet: Inlet) -> None:
        source = inlet.feed.source
        if inlet.task is not None:
            inlet.task.cancel()
            await asyncio.wait([inlet.task])
        self.flush()
        for _ in range(round(SAFE_DEADLINE / LOOK_EVERY)):
            if not self._spool.receipts()[source]:
                break
            await asyncio.sleep(LOOK_EVERY)
        await inlet.feed.close()

    def _filling(self, source: Source, receipt: Any) -> Batch:
        """The batch that takes the next payload of `source`, and its receipt if it has one."""
        batch = self._batch
        if len(batch) >= self.settings.batch_readings or batch.size + batch.letter_size >= BATCH_BYTES:
            self.flush()
            batch = self._batch
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.settings.batch_age, self.flush)
        if receipt is not None:
            waiting = batch.add_receipt(source, receipt)
            if waiting >= WORTH_A_ROUND and 0 < source.window <= 2 * waiting and not self._hurried:
                # Not at once: what has arrived already is still taken along.
                self._hurried = True
                self._timer.cancel()
                self._timer = asyncio.get_running_loop().call_soon(self.flush)
        return batch
