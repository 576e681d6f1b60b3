"""A batch: what was taken in until a size or an age was reached. It is stored, sent, dropped and acknowledged whole."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from devices.reading import Reading
from devices.source import Source
from gateway.wire import DeadLetter

READING_BYTES: Final = 340
"""What one reading costs in memory beside the characters of its names and text. A test measures it."""

LETTER_BYTES: Final = 600
"""What one dead letter costs in memory beside its payload."""


class Batch:
    """Readings and dead letters in their order of arrival, and the receipts that are due when they are safe.

    Attributes:
        readings, letters: the content; the readings come first in the sequence, then the letters.
        counts: how many of the readings each source made.
        size: estimate of the bytes of memory that the readings hold.
        letter_size: the same for the letters.
        first, last: sequences of its first and last item in the spool; 0 until the spool took it.
    """

    __slots__ = ("_receipts", "counts", "first", "last", "letter_size", "letters", "readings", "size")

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.letters: list[DeadLetter] = []
        self.counts: dict[str, int] = defaultdict(int)
        self.size = 0
        self.letter_size = 0
        self.first = self.last = 0
        self._receipts: dict[Source, list[Any]] = {}

    def __len__(self) -> int:
        return len(self.readings) + len(self.letters)

    def number(self, first: int) -> int:
        """Give its items the sequences from `first` on; returns the next free one."""
        self.first = first
        self.last = first + len(self) - 1
        return self.last + 1

    def drop_readings(self) -> None:
        """Give up the readings, by policy: its sources need not send them again. Letters stay, and so do the receipts."""
        self.readings, self.size = [], 0
        self.counts.clear()
        if not self.letters:
            self.settle()

    def add_letter(self, letter: DeadLetter) -> None:
        """Take a dead letter."""
        self.letters.append(letter)
        self.letter_size += LETTER_BYTES + len(letter.payload) + len(letter.text)

    def add_receipt(self, source: Source, receipt: Any) -> None:
        """`source` hears safe() with this receipt when the batch is safe."""
        self._receipts.setdefault(source, []).append(receipt)

    @property
    def waiting(self) -> Mapping[Source, list[Any]]:
        """Receipts that were not yet acknowledged."""
        return self._receipts

    def settle(self) -> None:
        """Tell every source that its part of this batch is safe, or given up by policy. Further calls do nothing."""
        receipts, self._receipts = self._receipts, {}
        for source, due in receipts.items():
            source.safe(due)
