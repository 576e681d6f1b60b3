"""The spool with its body in memory: bounded, first in, first out, batches whole.

What it holds is lost with the process. MQTT messages are acknowledged only when Kafka has them, so the broker sends
those again; a serial port cannot be asked twice.
"""

import asyncio
import secrets
from collections import Counter, deque
from typing import Final

import msgspec
import structlog

from gateway.config import Spool as SpoolSettings
from gateway.ledger import Ledger
from gateway.spool.batch import Batch

_log = structlog.get_logger()

ROUND_BYTES: Final = 8_000_000
"""A round of the forwarder takes at most this much: a quarter of the Kafka client's own queue."""


class Depth(msgspec.Struct, frozen=True):
    """How full the spool is.

    Attributes:
        readings, letters: how many it holds.
        size: bytes of memory its readings take, by estimate.
        capacity: bytes it may take.
        oldest: receipt time of its oldest reading in nanoseconds since 1970 UTC; 0 if it holds none.
        by_source: its readings by source.
    """

    readings: int
    letters: int
    size: int
    capacity: int
    oldest: int
    by_source: dict[str, int]


class MemorySpool:
    """Used from the event loop's thread only; no call blocks.

    A batch leaves in one of two ways, and its sources hear of both: Kafka has it (commit), or there is no room and
    the drop policy takes it (counted in the ledger by reason).

    Attributes:
        id: names its lineage: two things with the same id and sequence are the same thing.
        run_id: drawn at every start.
        known_runs: those that have used this spool, this one last.
        position: everything up to this sequence has left it, as far as is known here.
    """

    def __init__(self, settings: SpoolSettings, ledger: Ledger) -> None:
        self.id = secrets.token_hex(8)
        self.run_id = secrets.token_hex(8)
        self.known_runs: tuple[str, ...] = (self.run_id,)
        self.position = 0
        self._settings = settings
        self._ledger = ledger
        self._batches: deque[Batch] = deque()
        self._in_flight = 0
        self._next = 1
        self._size = 0
        self._letter_size = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def append(self, batch: Batch) -> None:
        """Take a batch, in memory only. Makes room by the drop policy; never raises for lack of it."""
        self._cap_letters(batch)
        if not self._make_room(batch.size):
            self._drop(batch)
        if not batch:
            batch.settle()
            return
        self._next = batch.number(self._next)
        self._batches.append(batch)
        self._size += batch.size
        self._letter_size += batch.letter_size
        self._filled.set()
        self._emptied.clear()

    async def wait(self) -> None:
        """Return when there is a batch to read. Cancelling is safe."""
        await self._filled.wait()

    async def empty(self) -> None:
        """Return when nothing is left. Cancelling is safe."""
        await self._emptied.wait()

    def read(self, limit: int) -> list[Batch]:
        """The oldest batches, up to `limit` items in all (but at least one batch); they stay until commit().

        They are in flight from now on, and no policy drops them. A second read() before commit() returns the
        same batches or more of them.
        """
        taken: list[Batch] = []
        items = size = 0
        for batch in self._batches:
            items += len(batch)
            size += batch.size + batch.letter_size
            if taken and (items > limit or size > ROUND_BYTES):
                break
            taken.append(batch)
        self._in_flight = max(self._in_flight, len(taken))
        return taken

    def commit(self, last: int) -> None:
        """Kafka has everything up to sequence `last`, the end of a batch: forget it and tell the sources."""
        self.position = max(self.position, last)
        while self._batches and self._batches[0].last <= last:
            batch = self._batches.popleft()
            self._size -= batch.size
            self._letter_size -= batch.letter_size
            self._in_flight = max(0, self._in_flight - 1)
            self._ledger.delivered(batch.counts)
            batch.settle()
        if not self._batches:
            self._filled.clear()
            self._emptied.set()

    async def begin_lineage(self, reason: str) -> None:
        """Take a new id, as another spool has used ours: what is held is sent under the new one. Logs `reason`."""
        former, self.id = self.id, secrets.token_hex(8)
        _log.warning("spool begins a new lineage", spool=self.id, former=former, reason=reason)

    def depth(self) -> Depth:
        """How full it is now. Costs time in proportion to the batches held, not to the readings."""
        by_source: Counter[str] = Counter()
        for batch in self._batches:
            by_source.update(batch.counts)
        oldest = next((batch.readings[0].received for batch in self._batches if batch.readings), 0)
        letters = sum(len(batch.letters) for batch in self._batches)
        return Depth(
            by_source.total(), letters, self._size, self._settings.memory_bytes, oldest, dict(by_source)
        )

    def close(self) -> None:
        """Give up what is still here, counted as dropped at stop. Unsettled receipts stay so: MQTT sends again."""
        for batch in self._batches:
            self._ledger.dropped(batch.counts, "unsent at stop")
        self._batches.clear()
        self._size = self._letter_size = 0

    def _make_room(self, size: int) -> bool:
        capacity = self._settings.memory_bytes
        if self._settings.when_full == "drop-newest":
            return self._size + size <= capacity
        place = self._in_flight
        while self._size + size > capacity and place < len(self._batches):
            oldest = self._batches[place]
            self._size -= oldest.size
            self._drop(oldest)
            if oldest:  # its dead letters stay
                place += 1
            else:
                del self._batches[place]
        return self._size + size <= capacity

    def _drop(self, batch: Batch) -> None:
        self._ledger.dropped(batch.counts, self._settings.when_full)
        batch.drop_readings()

    def _cap_letters(self, batch: Batch) -> None:
        """Dead letters have a cap of their own: a wrong baud rate must not push out good readings."""
        if self._letter_size + batch.letter_size <= self._settings.dead_letter_bytes:
            return
        for letter in batch.letters:
            self._ledger.source(letter.source).dead_letters_dropped += 1
        batch.letters, batch.letter_size = [], 0
