"""The part of the spool that is in memory only: bounded, with a policy for when there is no room."""

import time
from collections import Counter, deque
from typing import Final

from devices.source import Source
from gateway.config import Spool as SpoolSettings
from gateway.ledger import Ledger
from gateway.spool.batch import Batch

WAIT_SHARE: Final = 0.5
"""Of the memory: from here on sources that can wait are asked to, and leave the rest to those that cannot."""

SPILL_SHARE: Final = 0.75
"""Of the memory: from here on it is spilled at once, so that there is room while the disk is busy. More than the other
share: a source that can wait must not fill the disk while Kafka answers."""


class Tail:
    """Batches that are not on disk, oldest first. Used from the event loop's thread only; no call blocks.

    Attributes:
        settings: the bounds and the policy.
        batches: them.
        size, letter_size: memory that their readings and their letters take, by estimate.
    """

    def __init__(self, settings: SpoolSettings, ledger: Ledger) -> None:
        self.settings = settings
        self._ledger = ledger
        self.batches: deque[Batch] = deque()
        self.size = self.letter_size = 0

    def fit(self, batch: Batch, protected: int, letters_on_disk: int) -> None:
        """Make room for `batch`, by the policy: in older ones or in itself, which may leave nothing of it.

        Batches up to sequence `protected` are in flight or being written, and no policy drops them.
        """
        settings = self.settings
        if letters_on_disk + self.letter_size + batch.letter_size > settings.dead_letter_bytes:
            for letter in batch.letters:
                self._ledger.source(letter.source).dead_letters_dropped += 1
            batch.letters, batch.letter_size = [], 0
        if settings.when_full == "drop-oldest" and batch.size <= settings.memory_bytes:
            self._drop_oldest(batch.size, protected)
        if self.size + batch.size > settings.memory_bytes:
            waiting = {source.name for source in batch.waiting} if settings.when_full == "block" else set()
            self._drop(batch, waiting)

    def push(self, batch: Batch) -> None:
        """Take a numbered batch."""
        batch.since = time.monotonic()
        self.batches.append(batch)
        self.size += batch.size
        self.letter_size += batch.letter_size

    def pop(self) -> Batch:
        """Give up the oldest."""
        batch = self.batches.popleft()
        self.size -= batch.size
        self.letter_size -= batch.letter_size
        return batch

    def oldest(self, size: int) -> list[Batch]:
        """The oldest batches, about `size` bytes of them, at least one if there is any."""
        taken = []
        for batch in self.batches:
            if size <= 0:
                break
            taken.append(batch)
            size -= batch.size + batch.letter_size
        return taken

    def counts(self) -> Counter[str]:
        """Its readings by source."""
        counts: Counter[str] = Counter()
        for batch in self.batches:
            counts.update(batch.counts)
        return counts

    @property
    def crowded(self) -> bool:
        """Whether memory runs short."""
        return self.size > SPILL_SHARE * self.settings.memory_bytes

    @property
    def has_room(self) -> bool:
        """Whether sources that can wait may go on."""
        return self.size < WAIT_SHARE * self.settings.memory_bytes

    @property
    def keeps_waiting(self) -> bool:
        """Whether half of what the other side of a source may send ahead waits here to be acknowledged."""
        return any(0 < source.window <= 2 * count for source, count in self.receipts().items())

    def receipts(self) -> Counter[Source]:
        """How many receipts of each source wait here to be acknowledged."""
        waiting: Counter[Source] = Counter()
        for batch in self.batches:
            for source, receipts in batch.waiting.items():
                waiting[source] += len(receipts)
        return waiting

    def _drop_oldest(self, size: int, protected: int) -> None:
        place = 0
        while self.size + size > self.settings.memory_bytes and place < len(self.batches):
            oldest = self.batches[place]
            if oldest.last <= protected:
                place += 1
                continue
            before = oldest.size
            self._drop(oldest)
            self.size -= before
            if oldest:  # its dead letters stay
                place += 1
            else:
                del self.batches[place]

    def _drop(self, batch: Batch, but: set[str] | None = None) -> None:
        given_up = batch.drop_readings(but or set())
        self._ledger.dropped(given_up, self.settings.when_full)
