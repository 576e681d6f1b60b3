"""The spool: its tail in memory, its body on disk, bounded in both, first in, first out, batches whole."""

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Final

import structlog

from devices.source import Source
from gateway.config import ConfigError
from gateway.config import Spool as SpoolSettings
from gateway.ledger import Ledger
from gateway.spool.batch import Batch
from gateway.spool.body import ROUND_BYTES, Body, undisturbed
from gateway.spool.depth import Depth
from gateway.spool.disk import EPOCH_BITS, Disk
from gateway.spool.fs import Files, LocalFiles
from gateway.spool.patience import Patience
from gateway.spool.tail import Tail

_log = structlog.get_logger()

TICK: Final = 0.25
"""Seconds between two looks at what is due, at most."""

COMMIT_BYTES: Final = 2_000_000
"""Memory that is written in one commit at most."""


class Spool:
    """Used from one event loop. No call blocks it: the disk is used from one worker thread.

    A batch leaves in one of two ways: Kafka has it (commit), or a policy or damage takes it (counted in the ledger
    by reason). Its sources hear `safe` when it is fsynced, or when Kafka has it, whichever comes first.

    Attributes:
        position: everything up to this sequence is in Kafka, as far as this spool knows.
    """

    def __init__(self, settings: SpoolSettings, ledger: Ledger, files: Files) -> None:
        """Recover what is on disk, which blocks; `files` is closed by close().

        Raises:
            OSError: the folder cannot be read.
        """
        self._settings = settings
        self._ledger = ledger
        self._tail = Tail(settings, ledger)
        disk = Disk(files, settings.disk_bytes, drop_oldest=settings.when_full == "drop-oldest")
        self._body = Body(disk, ledger)
        self._next = (disk.epoch << EPOCH_BITS) + 1
        self.position = disk.position
        self._in_flight = self._writing = self._leaving = 0  # sequences: up to, up to, from
        self._patience = Patience(settings.spill_after)
        self._asked_at = self._committed_at = 0.0
        self._wake, self._filled, self._emptied = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._signal()

    @property
    def id(self) -> str:
        """Of this spool: 16 hexadecimal digits."""
        return self._body.disk.id

    @property
    def epoch(self) -> int:
        """Of this start of the daemon: sequences begin at `(epoch << 40) + 1`."""
        return self._body.disk.epoch

    @property
    def run_id(self) -> str:
        """Of this start of the daemon, likewise."""
        return self._body.disk.run

    def adopt(self, settings: SpoolSettings) -> None:
        """Go by these from now on. `memory_bytes` and `disk_bytes` are no less than before."""
        self._settings = self._tail.settings = settings
        self._patience.fix(settings.spill_after)
        self._body.disk.bound(settings.disk_bytes, drop_oldest=settings.when_full == "drop-oldest")
        self._wake.set()

    def knows(self, run: str, epoch: int) -> bool:
        """Whether the run with this id and epoch was one of this folder: any that is too long ago is taken for one."""
        disk = self._body.disk
        return run in disk.runs or epoch < disk.forgotten

    def append(self, batch: Batch) -> None:
        """Take a batch, in memory only. Makes room by the drop policy; never raises for lack of it."""
        self._tail.fit(batch, max(self._in_flight, self._writing), self._body.letter_size)
        if not batch:
            batch.settle()
            self._signal()  # what made room for it in vain may have been all there was
            return
        self._next = batch.number(self._next)
        self._tail.push(batch)
        self._signal()
        if self._settings.spill_after == 0 or self._tail.crowded or len(self._tail.batches) == 1:
            self._wake.set()  # it is due, or the time until something is due has changed

    def has_room(self) -> bool:
        """Whether sources that can wait may go on: they leave half of memory and disk to those that cannot."""
        return self._tail.has_room and 2 * self._body.size < self._settings.disk_bytes

    def receipts(self) -> Counter[Source]:
        """How many receipts of each source wait for safe(), of the batches that were appended."""
        return self._tail.receipts()

    async def wait(self) -> None:
        """Return when there is something to read. Cancelling is safe."""
        await self._filled.wait()

    async def empty(self) -> None:
        """Return when nothing is left. Cancelling is safe."""
        await self._emptied.wait()

    async def read(self, limit: int) -> list[Batch]:
        """The oldest batches, up to `limit` items in all (but at least one batch); they stay until commit().

        They are in flight from now on, and no policy drops them. A second read() before commit() returns the
        same batches or more of them. May return none, if what was left turned out to be delivered or damaged.
        """
        while True:
            while self._body.more and not self._body.ahead:
                await self._fetch()
            taken = self._take(limit)
            if taken or not self._filled.is_set():
                break
            async with self._body.busy:  # what remains is just being written
                pass
        if taken:
            self._in_flight = max(self._in_flight, taken[-1].last)
            self._asked_at = self._asked_at or time.monotonic()
        return taken

    def commit(self, last: int) -> None:
        """Kafka has everything up to sequence `last`: forget it and tell the sources.

        `last` may lie anywhere, in the middle of what is on disk too: what lies behind it counts as delivered when
        reading comes by; see trim().
        """
        now = time.monotonic()
        if self._asked_at:
            self._patience.learn(now - self._asked_at)
        self._asked_at, self._committed_at = 0.0, now
        self.position = max(self.position, last)
        self._forget()
        self._wake.set()

    async def trim(self, last: int) -> None:
        """As commit(), for what another run delivered; on return all of it counts as delivered."""
        self.commit(last)
        while self._body.more and not self._body.ahead:
            await self._fetch()

    async def begin_lineage(self, reason: str) -> None:
        """A new spool id from now on, durable on return if the disk takes it; what is held stays."""
        before = self.id
        await self._body.write(self._body.disk.begin_lineage)
        _log.warning("spool begins anew", was=before, id=self.id, reason=reason)

    async def run(self, kafka_away: Callable[[], bool]) -> None:
        """Spill, read ahead, and tidy up, until cancelled. `kafka_away()`: Kafka is known not to answer."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(TICK, self._due_in(kafka_away=kafka_away()))):
                    await self._wake.wait()
            self._wake.clear()
            if self._due_in(kafka_away=kafka_away()) <= 0:
                await self._spill()
            if self._body.has_room_ahead:
                await self._fetch()
            await self._body.tidy(self.position, self._committed_at)

    async def close(self) -> None:
        """Write what is still in memory, and the position. What cannot be written is counted as dropped at stop."""
        while self._tail.batches:
            before = len(self._tail.batches)
            await self._spill()
            if len(self._tail.batches) == before:
                break
        for batch in self._tail.batches:  # their receipts stay unsettled: MQTT sends again
            self._ledger.dropped(batch.counts, "unsent at stop")
        while self._tail.batches:
            self._tail.pop()
        await self._body.close(self.position)

    def depth(self) -> Depth:
        """How full it is now. Costs time in proportion to the batches in memory, not to the readings."""
        body, tail = self._body, self._tail
        in_memory, spooled = tail.counts(), body.readings()
        return Depth(
            in_memory.total() + spooled.total(),
            body.letters() + sum(len(batch.letters) for batch in tail.batches),
            body.letters(),
            dict(in_memory),
            dict(spooled),
            tail.size,
            self._settings.memory_bytes,
            body.size,
            self._settings.disk_bytes,
            len(body.disk.segments),
            _oldest(body.ahead) or body.disk.oldest or _oldest(tail.batches),
            body.disk.quarantine.frames,
            body.disk.quarantine.copies,
            body.trouble.text,
        )

    def _take(self, limit: int) -> list[Batch]:
        taken: list[Batch] = []
        items = size = 0
        for batch in chain(self._body.ahead, () if self._body.more else self._tail.batches):
            if batch.last <= self.position:
                continue
            items += len(batch)
            size += batch.size + batch.letter_size
            if (taken and (items > limit or size > ROUND_BYTES)) or 0 < self._leaving <= batch.first:
                break
            taken.append(batch)
        return taken

    def _due_in(self, *, kafka_away: bool) -> float:
        """Seconds until the oldest batch in memory has to go to disk; not above 0: now."""
        if not self._tail.batches or self._body.trouble.pausing:
            return math.inf
        if self._tail.crowded or (kafka_away and not self._tail.has_room):
            return 0.0
        patience = self._patience.seconds(kafka_away=kafka_away, hurry=self._tail.keeps_waiting)
        return self._tail.batches[0].since + patience - time.monotonic()

    async def _spill(self) -> None:
        """Write the tail, or its oldest part, in one commit; the sources of what was written hear `safe`."""

        async def spill() -> None:
            body = self._body
            async with body.busy:
                if not (batches := self._tail.oldest(COMMIT_BYTES)):
                    return
                keep = body.keep(batches, self._in_flight)
                self._writing = batches[-1].last
                self._leaving = batches[keep].first if keep < len(batches) else 0
                durable = await body.store(batches, keep, self.position)
                self._writing = self._leaving = 0
                for batch in batches if durable else ():
                    self._tail.pop()
                    batch.settle()
                self._forget()

        await undisturbed(spill())

    async def _fetch(self) -> None:
        await self._body.fetch(self.position)
        self._forget()

    def _forget(self) -> None:
        """Let go of what Kafka has, but of nothing that is just being written."""
        self._body.forget(self.position)
        for batch in list(self._tail.batches):
            if batch.last > self.position:
                break
            batch.settle()
            if not self._writing:
                self._ledger.delivered(batch.counts)
                self._tail.pop()
        self._signal()

    def _signal(self) -> None:
        tail = self._tail.batches
        if self._body.ahead or self._body.more or (tail and tail[-1].last > self.position):
            self._filled.set()
            self._emptied.clear()
        else:
            self._filled.clear()
            self._emptied.set()


def _oldest(batches: Iterable[Batch]) -> int:
    return next((batch.readings[0].received for batch in batches if batch.readings), 0)


def open_spool(folder: Path, settings: SpoolSettings, ledger: Ledger) -> Spool:
    """The spool in `folder`, made if it is not there, recovered if it is. Blocks for as long as that takes.

    Raises:
        ConfigError: the folder cannot be used, or another daemon uses it.
    """
    try:
        return Spool(settings, ledger, LocalFiles(folder))
    except BlockingIOError:
        raise ConfigError(
            f"gateway.state_dir: another gatewayd uses {folder}; stop it, or name another folder"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"gateway.state_dir: {folder} cannot be used: {error.strerror}; make it writable, or name another folder"
        ) from None
