"""The part of the spool that is on disk, as the event loop sees it: one worker thread, one piece of work at a time."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import structlog

from gateway.ledger import Ledger
from gateway.spool.batch import Batch
from gateway.spool.disk import Disk
from gateway.spool.segment import total
from gateway.spool.trouble import Trouble

_log = structlog.get_logger()

T = TypeVar("T")

ROUND_BYTES: Final = 4_000_000
"""A round of the forwarder takes at most this much memory: ten thousand readings, as the Kafka client's queue."""

AHEAD_BYTES: Final = 2 * ROUND_BYTES
"""Read from disk ahead of the forwarder: the round that is under way and the next."""

TRIES_TO_READ: Final = 5
"""After so many failures in a row, what the disk cannot read is damage."""

READ_PAUSE: Final = 0.5
"""Seconds between them."""

IDLE: Final = 5.0
"""Seconds without a write to disk or a delivery after which what was put off is written and tidied."""


class Body:
    """Used from one event loop.

    Attributes:
        disk: what it drives; from outside, read its attributes only.
        ahead: the oldest batches on disk, read already, until Kafka has them.
        unread: what is on disk behind them.
        more: whether there is anything.
        size: bytes on disk, as of the last work there: asked for every payload, so it is not summed each time.
        trouble: what the disk does not do.
        busy: held while the thread works.
    """

    def __init__(self, disk: Disk, ledger: Ledger) -> None:
        self.disk = disk
        self.ahead: deque[Batch] = deque()
        self.unread = disk.unread
        self.more = disk.more
        self.size = disk.size
        self.trouble = Trouble(disk.trouble)
        self.busy = asyncio.Lock()
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._read_failures = 0
        self._written_at = 0.0
        ledger.found(self.unread.readings)

    @property
    def letter_size(self) -> int:
        """Memory that the dead letters on disk would take."""
        return self.unread.letter_size + sum(batch.letter_size for batch in self.ahead)

    @property
    def has_room_ahead(self) -> bool:
        """Whether there is something to read ahead, and memory for it."""
        return self.more and self._ahead_size() < AHEAD_BYTES - ROUND_BYTES

    def readings(self) -> Counter[str]:
        """All readings on disk by source."""
        counts = Counter(self.unread.readings)
        for batch in self.ahead:
            counts.update(batch.counts)
        return counts

    def letters(self) -> int:
        """All dead letters on disk."""
        return self.unread.letters.total() + sum(len(batch.letters) for batch in self.ahead)

    def keep(self, batches: list[Batch], in_flight: int) -> int:
        """How many of these may stay in memory once they are written: those in flight, and as many as there is room."""
        if self.more:
            return 0
        size, count = self._ahead_size(), 0
        for batch in batches:
            size += batch.size + batch.letter_size
            if size > AHEAD_BYTES and batch.first > in_flight:
                break
            count += 1
        return count

    async def store(self, batches: list[Batch], keep: int, position: int) -> bool:
        """Write `batches` in one commit; whether they are durable now. What lies behind `position` may go for it. For who holds `busy`, and is not disturbed."""
        kept = -1
        with self.trouble.watched():
            kept = await self._in_thread(lambda: self.disk.append(batches, keep, position))
        self._written_at = time.monotonic()
        if kept >= 0:
            self.ahead.extend(batches[:kept])
            for batch in batches[kept:]:
                self.unread.add(batch.tally())
        self._settle_accounts()
        return kept >= 0

    async def fetch(self, position: int) -> None:
        """Read ahead what comes next on disk above `position`, or fail and wait a little."""

        async def fetch() -> None:
            async with self.busy:
                by_block = self._read_failures >= TRIES_TO_READ
                try:
                    batches = await self._in_thread(
                        lambda: self.disk.read(ROUND_BYTES, position, by_block=by_block)
                    )
                except OSError as error:
                    self._read_failures += 1
                    _log.warning("spool cannot be read", problem=error.strerror, tries=self._read_failures)
                else:
                    self._read_failures = 0
                    self.unread.take(total(iter(batches)))
                    self.ahead.extend(batches)
                self._settle_accounts()

        await undisturbed(fetch())
        if self._read_failures:
            await asyncio.sleep(READ_PAUSE)

    def forget(self, position: int) -> None:
        """Kafka has everything up to `position`: let go of it, as far as it was read."""
        while self.ahead and self.ahead[0].first <= position:
            batch = self.ahead.popleft()
            rest = batch.after(position)
            self._ledger.delivered(Counter(batch.counts) - Counter(rest.counts))
            if rest:
                self.ahead.appendleft(rest)

    async def tidy(self, position: int, committed_at: float) -> None:
        """Delete what is delivered; save the position when there is nothing else to do; look after trouble."""
        now, disk = time.monotonic(), self.disk
        quiet = now - self._written_at > IDLE
        if self.trouble.text:
            if not self.trouble.pausing:
                await self.write(lambda: disk.mend(position))
        elif disk.is_behind(position, all_of_it=quiet):
            await self.write(lambda: disk.retire(position, all_of_it=quiet))
        elif disk.segments and position > disk.position and now - committed_at > IDLE:
            await self.write(lambda: disk.save(position))

    async def write(self, work: Callable[[], None]) -> None:
        """Let the worker thread do `work`; trouble is remembered, not raised."""

        async def write() -> None:
            async with self.busy:
                with self.trouble.watched():
                    await self._in_thread(work)

        await undisturbed(write())

    async def close(self, position: int) -> None:
        """Delete what is delivered, save the position, and let go of the files."""
        await self.write(lambda: self.disk.retire(position, all_of_it=True))
        await self.write(lambda: self.disk.save(position))
        await self.write(self.disk.close)
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self.size = self.disk.size

    def _ahead_size(self) -> int:
        return sum(batch.size + batch.letter_size for batch in self.ahead)

    def _settle_accounts(self) -> None:
        """After work at the disk: book what left it other than by being read."""
        for how, tally in self.disk.collect():
            self.unread.take(tally)
            if how == "delivered":
                self._ledger.delivered(tally.readings)
                continue
            self._ledger.dropped(tally.readings, how)
            for source, count in tally.letters.items():
                self._ledger.source(source).dead_letters_dropped += count
        self.more = self.disk.more


async def undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Await `work`; if the caller is cancelled meanwhile, the work still comes to its end."""
    await asyncio.shield(asyncio.ensure_future(work))
