"""A set of numbers that come nearly in order, in little memory."""

from collections.abc import Iterator
from typing import Final

CHUNK: Final = 512
_FULL: Final = (1 << CHUNK) - 1


class Numbers:
    """A set of natural numbers that costs one bit a number, in whatever order they come, and less where there is no gap."""

    __slots__ = ("_chunks",)

    def __init__(self) -> None:
        self._chunks: dict[int, int] = {}

    def add(self, number: int) -> bool:
        """Whether it is new."""
        chunk, bit = number // CHUNK, 1 << number % CHUNK
        bits = self._chunks.get(chunk, 0)
        if bits & bit:
            return False
        bits |= bit
        self._chunks[chunk] = _FULL if bits == _FULL else bits  # all full ones are one object
        return True

    @property
    def first(self) -> int:
        """The lowest, -1 if there is none."""
        return next(self.runs(), (-1, -1))[0]

    @property
    def last(self) -> int:
        """The highest, -1 if there is none."""
        highest = max(self._chunks, default=0)
        return highest * CHUNK + self._chunks.get(highest, 0).bit_length() - 1

    def runs(self) -> Iterator[tuple[int, int]]:
        """First and last of each stretch without a gap, in order; one may be cut into several."""
        for chunk in sorted(self._chunks):
            at, bits = chunk * CHUNK, self._chunks[chunk]
            while bits:
                zeros = (bits & -bits).bit_length() - 1
                bits >>= zeros
                ones = (~bits & (bits + 1)).bit_length() - 1
                bits >>= ones
                yield at + zeros, at + zeros + ones - 1
                at += zeros + ones

    def gaps(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """First and last of each stretch from `low` to `high` that is not there, in order."""
        for first, last in self.runs():
            if first > high:
                break
            if first > low:
                yield low, first - 1
            low = max(low, last + 1)
        if low <= high:
            yield low, high
