"""A batch: what was taken in until a size or an age was reached. It is stored, sent, dropped and acknowledged whole."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from devices.reading import Reading
from devices.source import Source
from gateway.clock import Unset
from gateway.wire import DeadLetter

READING_BYTES: Final = 340
"""What one reading costs in memory beside the characters of its names and text. A test measures it."""

LETTER_BYTES: Final = 600
"""What one dead letter costs in memory beside its payload."""


@dataclass(slots=True)
class Tally:
    """How much there is of something, by source.

    Attributes:
        readings, letters: how many of each source.
        letter_size: bytes of memory that the letters would take.
    """

    readings: Counter[str] = field(default_factory=Counter)
    letters: Counter[str] = field(default_factory=Counter)
    letter_size: int = 0

    def add(self, other: "Tally") -> None:
        """Count `other` too."""
        self.readings += other.readings
        self.letters += other.letters
        self.letter_size += other.letter_size

    def take(self, other: "Tally") -> None:
        """Count `other` no more."""
        self.readings -= other.readings
        self.letters -= other.letters
        self.letter_size -= other.letter_size

    def __bool__(self) -> bool:
        return bool(self.readings or self.letters)


class Batch:
    """Readings and dead letters in their order of arrival, and the receipts that are due when they are safe.

    Attributes:
        readings, letters: the content; the readings come first in the sequence, then the letters.
        counts: how many of the readings each source made.
        size: estimate of the bytes of memory that the readings hold.
        letter_size: the same for the letters.
        first, last: sequences of its first and last item in the spool; 0 until the spool took it.
        since: when the spool took it, in seconds of the monotonic clock.
        unset: how it was given its times, if the clock was not known to be right.
    """

    __slots__ = (
        "_receipts",
        "counts",
        "first",
        "last",
        "letter_size",
        "letters",
        "readings",
        "since",
        "size",
        "unset",
    )

    def __init__(self, unset: Unset | None = None) -> None:
        self.unset = unset
        self.readings: list[Reading] = []
        self.letters: list[DeadLetter] = []
        self.counts: dict[str, int] = defaultdict(int)
        self.size = 0
        self.letter_size = 0
        self.first = self.last = 0
        self.since = 0.0
        self._receipts: dict[Source, list[Any]] = {}

    @classmethod
    def restored(
        cls, first: int, readings: list[Reading], letters: Sequence[DeadLetter], unset: Unset | None
    ) -> Self:
        """The batch as it was, without receipts: it was safe before it was forgotten."""
        batch = cls(unset)
        batch.readings = readings
        batch.counts = Counter(reading.source for reading in readings)
        batch.size = _size_of(readings)
        for letter in letters:
            batch.add_letter(letter)
        batch.number(first)
        return batch

    def __len__(self) -> int:
        return len(self.readings) + len(self.letters)

    def number(self, first: int) -> int:
        """Give its items the sequences from `first` on; returns the next free one."""
        self.first = first
        self.last = first + len(self) - 1
        return self.last + 1

    def after(self, position: int) -> "Batch":
        """What of it lies behind sequence `position`: all, a part, or nothing of it."""
        if position < self.first:
            return self
        done = position - self.first + 1
        letters = self.letters[max(0, done - len(self.readings)) :]
        return Batch.restored(max(self.first, position + 1), self.readings[done:], letters, self.unset)

    def tally(self) -> Tally:
        """How much is in it."""
        letters = Counter(letter.source for letter in self.letters)
        return Tally(Counter(self.counts), letters, self.letter_size)

    def drop_readings(self, but: Collection[str] = ()) -> Counter[str]:
        """Give up the readings, by policy, but those of sources named in `but`; returns how many of each source.

        The letters stay, and so do the receipts if anything does; else the sources hear that they need not send again.
        """
        dropped = Counter({name: count for name, count in self.counts.items() if name not in but})
        self.readings = [reading for reading in self.readings if reading.source in but]
        self.counts = defaultdict(int, {name: n for name, n in self.counts.items() if name in but})
        self.size = _size_of(self.readings)
        self.first = self.last + 1 - len(self) if self.last else 0
        if not self:
            self.settle()
        return dropped

    def add_letter(self, letter: DeadLetter) -> None:
        """Take a dead letter."""
        self.letters.append(letter)
        self.letter_size += LETTER_BYTES + len(letter.payload) + len(letter.text)

    def add_receipt(self, source: Source, receipt: Any) -> int:
        """`source` hears safe() with this receipt when the batch is safe. Returns how many of its receipts wait here."""
        due = self._receipts.setdefault(source, [])
        due.append(receipt)
        return len(due)

    @property
    def waiting(self) -> Mapping[Source, list[Any]]:
        """Receipts that were not yet acknowledged."""
        return self._receipts

    def settle(self) -> None:
        """Tell every source that its part of this batch is safe, or given up by policy. Further calls do nothing."""
        receipts, self._receipts = self._receipts, {}
        for source, due in receipts.items():
            source.safe(due)


def _size_of(readings: Sequence[Reading]) -> int:
    names = sum(len(reading.device) + len(reading.sensor) for reading in readings)
    texts = sum(len(reading.value) for reading in readings if type(reading.value) is str)
    return READING_BYTES * len(readings) + 2 * names + texts
