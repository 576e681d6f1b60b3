"""Readings gathered into aggregates of a minute or more: what is left when the noise of single readings is averaged out."""

from typing import Final, NamedTuple

import numpy as np

from gateway.detect.poll import SECOND, Poll, in_rounds
from gateway.detect.state import Bools, Columns, Floats, Ints

FEWEST: Final = 5
LENGTH: Final = 60 * SECOND
"""An aggregate ends with the first reading of another minute of the clock, once it holds so many."""


class Closed(NamedTuple):
    """Aggregates that ended, sorted by row and in the order of time.

    Attributes:
        element: the reading that came after each.
        row, held, mean, low, high: of each: how many readings, their mean, the smallest and the largest.
        last: the last of its readings.
        begin, end: time of its first and last reading.
        seq, spool: of its first reading.
    """

    element: Ints
    row: Ints
    held: Ints
    mean: Floats
    low: Floats
    high: Floats
    last: Floats
    begin: Ints
    end: Ints
    seq: Ints
    spool: Ints

    def take(self, which: Ints) -> "Closed":
        """Some of them."""
        return Closed._make(column[which] for column in self)


_NAMES: Final = ("held", "total", "low", "high", "last", "begin", "end", "seq", "spool")


class Aggregates:
    """Gathers the readings of all sensors."""

    FIELDS: Final = dict.fromkeys(("held", "begin", "end", "seq", "spool"), "i8") | dict.fromkeys(
        ("total", "low", "high", "last"), "f8"
    )

    def __init__(self, columns: Columns) -> None:
        """`columns` has FIELDS among its own."""
        self._columns = columns

    def gather(self, poll: Poll, element: Ints) -> Closed:
        """Take in these readings; the aggregates that end with them."""
        columns = self._columns
        row, value, time = poll.row[element], poll.value[element], poll.time[element]
        first = np.flatnonzero(np.diff(row, prepend=-1))
        head = row[first]
        held = columns["held"][head]
        ends = self._ends(row, time, first, head, held)
        # A bin for what each row holds already, in front of the readings; one more behind each end.
        begins = ends.copy()
        begins[first] = True
        bin_of = np.cumsum(begins) - 1
        heads = np.flatnonzero(begins)
        owner = row[heads]
        carried = np.zeros(len(heads), np.bool_)
        carried[bin_of[first]] = ~ends[first] & (held > 0)
        count = np.diff(heads, append=len(row)) + np.where(carried, columns["held"][owner], 0)
        total = np.where(carried, columns["total"][owner], 0.0)
        # One after the other, so that the sum does not depend on where a poll ends.
        np.add.at(total, bin_of, value)
        low = np.minimum.reduceat(value, heads)
        high = np.maximum.reduceat(value, heads)
        low = np.where(carried, np.minimum(low, columns["low"][owner]), low)
        high = np.where(carried, np.maximum(high, columns["high"][owner]), high)
        tail = np.append(heads[1:], len(row)) - 1
        begin, seq, spool = (
            np.where(carried, columns[name][owner], new[heads])
            for name, new in (("begin", time), ("seq", poll.seq[element]), ("spool", poll.spool[element]))
        )
        made = Closed(heads, owner, count, total, low, high, value[tail], begin, time[tail], seq, spool)
        # Where the first reading of a poll ends an aggregate, all of that is in the columns.
        before = np.flatnonzero(ends[first] & (held > 0))
        kept = self._kept(first[before], head[before])
        is_last = np.append(owner[1:] != owner[:-1], np.ones(min(1, len(owner)), np.bool_))
        self._store(made, np.flatnonzero(is_last))
        closed = np.flatnonzero(~is_last)
        ended = made.take(closed)._replace(element=heads[closed + 1])
        joined = Closed._make(np.concatenate(pair) for pair in zip(kept, ended, strict=True))
        joined = joined.take(np.argsort(joined.element, kind="stable"))
        return joined._replace(element=element[joined.element], mean=joined.mean / joined.held)

    def _ends(self, row: Ints, time: Ints, first: Ints, head: Ints, held: Ints) -> Bools:
        """Which readings find an aggregate complete."""
        minute = time // LENGTH
        before = np.empty_like(minute)
        before[1:] = minute[:-1]
        before[first] = self._columns["end"][head] // LENGTH
        ends = np.zeros(len(row), np.bool_)
        turns = np.flatnonzero(minute != before)
        place = np.arange(len(row))
        # Where each row's aggregate began, as a place in this poll, be it one before its first reading.
        began = np.zeros(len(self._columns["held"]), np.int64)
        began[head] = first - held
        for element, rows in in_rounds(row, turns):
            full = place[element] - began[rows] >= FEWEST
            ends[element[full]] = True
            began[rows[full]] = element[full]
        return ends

    def _kept(self, element: Ints, row: Ints) -> Closed:
        columns = self._columns
        return Closed(element, row, *(columns[name][row] for name in _NAMES))

    def _store(self, made: Closed, which: Ints) -> None:
        row = made.row[which]
        for name, column in zip(_NAMES, made[2:], strict=True):
            self._columns[name][row] = column[which]
