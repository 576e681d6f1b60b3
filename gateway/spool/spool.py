"""The spool: its tail in memory, its body on disk, bounded in both, first in, first out, batches whole."""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from gateway.config import ConfigError
from gateway.config import Spool as SpoolSettings
from gateway.ledger import Ledger
from gateway.spool.batch import Batch
from gateway.spool.depth import Depth
from gateway.spool.disk import EPOCH_BITS, Disk
from gateway.spool.fs import Files, LocalFiles
from gateway.spool.patience import Patience
from gateway.spool.segment import total
from gateway.spool.tail import Tail
from gateway.spool.trouble import Trouble

_log = structlog.get_logger()

T = TypeVar("T")

ROUND_BYTES: Final = 4_000_000
"""A round of the forwarder takes at most this much memory: ten thousand readings, as the Kafka client's queue."""

AHEAD_BYTES: Final = 2 * ROUND_BYTES
"""Read from disk ahead of the forwarder: the round that is under way and the next."""

TICK: Final = 0.25
"""Seconds between two looks at what is due."""

TRIES_TO_READ: Final = 5
"""After so many failures in a row, what the disk cannot read is damage."""

READ_PAUSE: Final = 0.5
"""Seconds between them."""

COMMIT_BYTES: Final = 4_000_000
"""Memory that is written in one commit at most."""

IDLE: Final = 5.0
"""Seconds without a write to disk or a delivery after which what was put off is written and tidied."""


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
        self._ahead: deque[Batch] = deque()
        self._disk = Disk(files, settings.disk_bytes, drop_oldest=settings.when_full == "drop-oldest")
        self._unread = self._disk.unread
        self._more = self._disk.more
        self._next = (self._disk.epoch << EPOCH_BITS) + 1
        self.position = self._disk.position
        self._in_flight = self._writing = self._leaving = 0  # sequences: up to, up to, from
        self._patience = Patience(settings.spill_after)
        self._asked_at = self._committed_at = self._written_at = 0.0
        self._trouble = Trouble(self._disk.trouble)
        self._read_failures = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._busy = asyncio.Lock()
        self._wake, self._filled, self._emptied = asyncio.Event(), asyncio.Event(), asyncio.Event()
        ledger.found(self._unread.readings)
        self._signal()

    @property
    def id(self) -> str:
        """Of this spool: 16 hexadecimal digits."""
        return self._disk.id

    @property
    def run_id(self) -> str:
        """Of this start of the daemon, likewise."""
        return self._disk.run

    @property
    def known_runs(self) -> tuple[str, ...]:
        """Ids of the last starts with this folder, this one last."""
        return self._disk.runs

    def append(self, batch: Batch) -> None:
        """Take a batch, in memory only. Makes room by the drop policy; never raises for lack of it."""
        letters = self._unread.letter_size + sum(batch.letter_size for batch in self._ahead)
        self._tail.fit(batch, max(self._in_flight, self._writing), letters)
        if not batch:
            batch.settle()
            return
        self._next = batch.number(self._next)
        self._tail.push(batch)
        self._signal()
        if self._settings.spill_after == 0 or self._tail.crowded:
            self._wake.set()

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
            while self._more and not self._ahead:
                await self._fetch()
            taken = self._take(limit)
            if taken or not self._filled.is_set():
                break
            async with self._busy:  # what remains is just being written
                pass
        if taken:
            self._in_flight = max(self._in_flight, taken[-1].last)
            self._asked_at = self._asked_at or time.monotonic()
        return taken

    def commit(self, last: int) -> None:
        """Kafka has everything up to sequence `last`: forget it and tell the sources.

        `last` may lie anywhere, in the middle of what is on disk too: what lies behind it counts as delivered when
        reading comes by.
        """
        now = time.monotonic()
        if self._asked_at:
            self._patience.learn(now - self._asked_at)
        self._asked_at, self._committed_at = 0.0, now
        self.position = max(self.position, last)
        self._forget()
        self._wake.set()

    async def begin_lineage(self, reason: str) -> None:
        """A new spool id from now on, durable on return if the disk takes it; what is held stays."""
        before = self.id
        await self._write(self._disk.begin_lineage)
        _log.warning("spool begins anew", was=before, id=self.id, reason=reason)

    async def run(self, kafka_away: Callable[[], bool]) -> None:
        """Spill, read ahead, and tidy up, until cancelled. `kafka_away()`: Kafka is known not to answer."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._wake.wait()
            self._wake.clear()
            while self._due(kafka_away=kafka_away()):
                await self._spill()
            if self._more and self._ahead_size() < AHEAD_BYTES - ROUND_BYTES:
                await self._fetch()
            await self._tidy()

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
        await self._write(lambda: self._disk.retire(self.position, all_of_it=True))
        await self._write(lambda: self._disk.save(self.position))
        await self._write(self._disk.close)
        self._thread.shutdown()

    def depth(self) -> Depth:
        """How full it is now. Costs time in proportion to the batches in memory, not to the readings."""
        spooled = Counter(self._unread.readings)
        letters = self._unread.letters.total()
        for batch in self._ahead:
            spooled.update(batch.counts)
        in_memory = self._tail.counts()
        held = [*self._ahead, *self._tail.batches]
        oldest = next((batch.readings[0].received for batch in self._ahead if batch.readings), 0)
        oldest = oldest or self._disk.oldest
        oldest = oldest or next((batch.readings[0].received for batch in held if batch.readings), 0)
        return Depth(
            in_memory.total() + spooled.total(),
            letters + sum(len(batch.letters) for batch in held),
            dict(in_memory),
            dict(spooled),
            self._tail.size,
            self._settings.memory_bytes,
            self._disk.size,
            self._settings.disk_bytes,
            len(self._disk.segments),
            oldest,
            self._disk.quarantine.frames,
            self._trouble.text,
        )

    def _take(self, limit: int) -> list[Batch]:
        taken: list[Batch] = []
        items = size = 0
        for batch in chain(self._ahead, () if self._more else self._tail.batches):
            if batch.last <= self.position:
                continue
            items += len(batch)
            size += batch.size + batch.letter_size
            if (taken and (items > limit or size > ROUND_BYTES)) or 0 < self._leaving <= batch.first:
                break
            taken.append(batch)
        return taken

    def _due(self, *, kafka_away: bool) -> bool:
        """Whether the oldest batch in memory has to go to disk now."""
        if not self._tail.batches or self._trouble.pausing:
            return False
        patience = self._patience.seconds(kafka_away=kafka_away, hurry=self._tail.keeps_waiting)
        return self._tail.crowded or time.monotonic() - self._tail.batches[0].since >= patience

    async def _spill(self) -> None:
        """Write the tail, or its oldest part, in one commit; the sources of what was written hear `safe`."""

        async def spill() -> None:
            async with self._busy:
                if not (batches := self._tail.oldest(COMMIT_BYTES)):
                    return
                keep = self._room_ahead(batches)
                self._writing = batches[-1].last
                self._leaving = batches[keep].first if keep < len(batches) else 0
                kept = -1
                with self._trouble.watched():
                    kept = await self._in_thread(lambda: self._disk.append(batches, keep))
                self._writing = self._leaving = 0
                for place, batch in enumerate(batches if kept >= 0 else ()):
                    self._tail.pop()
                    batch.settle()
                    if place < kept:
                        self._ahead.append(batch)
                    else:
                        self._unread.add(batch.tally())
                self._written_at = time.monotonic()
                self._settle_accounts()

        await _undisturbed(spill())

    async def _fetch(self) -> None:
        """Read ahead what comes next on disk."""

        async def fetch() -> None:
            async with self._busy:
                by_block = self._read_failures >= TRIES_TO_READ
                try:
                    batches = await self._in_thread(
                        lambda: self._disk.read(ROUND_BYTES, self.position, by_block=by_block)
                    )
                except OSError as error:
                    self._read_failures += 1
                    _log.warning("spool cannot be read", problem=error.strerror, tries=self._read_failures)
                else:
                    self._read_failures = 0
                    self._unread.take(total(iter(batches)))
                    self._ahead.extend(batches)
                self._settle_accounts()

        await _undisturbed(fetch())
        if self._read_failures:
            await asyncio.sleep(READ_PAUSE)

    async def _tidy(self) -> None:
        """Delete what is delivered, and save the position when there is nothing else to do."""
        if self._trouble.pausing:
            return
        now, disk = time.monotonic(), self._disk
        quiet = now - self._written_at > IDLE
        if self._trouble.text:
            await self._write(disk.probe)
        elif disk.is_behind(self.position, all_of_it=quiet):
            await self._write(lambda: disk.retire(self.position, all_of_it=quiet))
        elif disk.segments and self.position > disk.position and now - self._committed_at > IDLE:
            await self._write(lambda: disk.save(self.position))

    async def _write(self, work: Callable[[], None]) -> None:
        """Let the worker thread do `work`; trouble is remembered, not raised."""

        async def write() -> None:
            async with self._busy:
                with self._trouble.watched():
                    await self._in_thread(work)

        await _undisturbed(write())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _room_ahead(self, batches: list[Batch]) -> int:
        """How many of these may stay in memory once they are written: those in flight, and as many as there is room."""
        if self._more:
            return 0
        size, count = self._ahead_size(), 0
        for batch in batches:
            size += batch.size + batch.letter_size
            if size > AHEAD_BYTES and batch.first > self._in_flight:
                break
            count += 1
        return count

    def _ahead_size(self) -> int:
        return sum(batch.size + batch.letter_size for batch in self._ahead)

    def _settle_accounts(self) -> None:
        """After work at the disk: book what left it, and forget what was committed meanwhile."""
        for how, tally in self._disk.collect():
            self._unread.take(tally)
            if how == "delivered":
                self._ledger.delivered(tally.readings)
                continue
            self._ledger.dropped(tally.readings, how)
            for source, count in tally.letters.items():
                self._ledger.source(source).dead_letters_dropped += count
        self._more = self._disk.more
        self._forget()

    def _forget(self) -> None:
        """Let go of what Kafka has, but of nothing that is just being written."""
        while self._ahead and self._ahead[0].first <= self.position:
            batch = self._ahead.popleft()
            rest = batch.after(self.position)
            self._ledger.delivered(Counter(batch.counts) - Counter(rest.counts))
            if rest:
                self._ahead.appendleft(rest)
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
        if self._ahead or self._more or (tail and tail[-1].last > self.position):
            self._filled.set()
            self._emptied.clear()
        else:
            self._filled.clear()
            self._emptied.set()


async def _undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Await `work`; if the caller is cancelled meanwhile, the work still comes to its end."""
    await asyncio.shield(asyncio.ensure_future(work))


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
