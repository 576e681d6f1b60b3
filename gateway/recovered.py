"""Counts the readings that were made of dead letters: what the marks promise, and what is there. Touches no network."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.numbers import Numbers
from gateway.wire import Identity, Replayed

SLACK: Final = 60_000
"""Milliseconds. A mark and its readings are written in one transaction, which takes less."""


class Lack(NamedTuple):
    """Readings `first` to `last` of a letter that are not there, though its mark says so."""

    gateway: str
    spool: str
    first: int
    last: int


class Recovered:
    """What there is of all gateways. Readings of a letter have a spool id of their own, and are numbered from 1."""

    def __init__(self, expired: int) -> None:
        """`expired`: see Readback."""
        self._expired = expired
        self._present: dict[tuple[str, str], Numbers] = {}
        self._promised: dict[tuple[str, str], int] = {}
        self._due: dict[tuple[str, str], int] = {}

    def reading(self, one: Identity) -> bool:
        """Take a reading; whether nothing had its number."""
        return self._present.setdefault((one.gateway, one.spool), Numbers()).add(one.seq)

    def mark(self, one: Replayed, sent: int) -> bool:
        """Take a mark that was sent at `sent` milliseconds since 1970 UTC; whether it is the first of its letter."""
        new = (one.gateway, one.spool) not in self._promised
        gone = self._expired and sent <= self._expired + SLACK  # retention may have taken its readings
        self._promised[one.gateway, one.spool] = 0 if gone else one.readings
        return new

    def expect(self) -> None:
        """What the marks seen by now promise is to be there."""
        self._due = dict(self._promised)

    def lacking(self) -> Iterator[Lack]:
        """What is not there of what is to be."""
        for (gateway, spool), count in self._due.items():
            for first, last in self._present.get((gateway, spool), Numbers()).gaps(1, count):
                yield Lack(gateway, spool, first, last)
