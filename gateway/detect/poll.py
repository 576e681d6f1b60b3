"""The readings of one poll as arrays, and how they fall into rounds in which each sensor has one reading."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from gateway.detect.events import Origin
from gateway.detect.state import LONG_AGO, Bools, Columns, Floats, Ints
from gateway.wire import Arrival, Reading

KINDS: Final = 8
"""A sensor that has shown fewer different values than these shows states and not a quantity."""

SECOND: Final = 1_000_000_000
DAY: Final = 86_400 * SECOND

LONGEST: Final = 21_600.0
"""Seconds: a longer interval adds no more to the time for which a sensor was watched. While the clock is in doubt, it is one that
was set."""

YEAR: Final = 31_536_000.0
"""Seconds: a longer interval is a clock that was set, whatever is said of it. No rule looks so far back."""

CORE: Final[Mapping[str, str | tuple[str, tuple[int]]]] = {
    "offset": "i8",
    "time": "i8",
    "received": "i8",
    "seq": "i8",
    "spool": "i8",
    "unset": "?",
    "late_time": "i8",
    "late_run": "i8",
    "number": "i8",
    "watched": "i8",
    "value": "f8",
    "before": "f8",
    "rises": "i8",
    "falls": "i8",
    "kinds": "i8",
    "known": ("f8", (KINDS,)),
}
"""What all rules know of a sensor.

    offset: of its last record in the readings topic.
    time, received, seq, spool, value: of the last reading that was judged; `spool` is a number, see Spools.
    unset: whether the clock was in doubt when it came.
    before: the value of the one before that.
    late_time, late_run: of the last late reading, and how many came in a row, each later than the one before.
    number: readings judged; watched: nanoseconds between the first and the last of them, without outages.
    rises, falls: how often its value did.
    kinds, known: how many different values it has shown, KINDS at most, and those.
"""

FRESH: Final = {
    "offset": -1,
    "time": LONG_AGO,
    "received": LONG_AGO,
    "seq": -1,
    "late_time": LONG_AGO,
    "value": np.nan,
    "before": np.nan,
}


class Spools:
    """Numbers for the ids of spools; the numbers mean nothing outside of this process."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._ids)

    def number(self, spool: str) -> int:
        """The number of this spool."""
        number = self._numbers.get(spool)
        if number is None:
            number = self._numbers[spool] = len(self._ids)
            self._ids.append(spool)
        return number

    def id(self, number: int) -> str:
        """The spool of this number; empty before there was any."""
        return self._ids[number] if self._ids else ""


class Rounds:
    """How elements, sorted by row, fall into rounds: the first of each row, then the second of each, and so on.

    Attributes:
        rows: each row once, those with most elements first: a round is about the first so many of them.
        counts: how many elements each of these has.
        order: the elements round by round, in the order of `rows`.
        nth, place: for each in `order`, in which round it is and the place of its row in `rows`.
        spans: beginning and end of each round in `order`.
    """

    def __init__(self, row: Ints) -> None:
        first, every = starts(row), np.arange(len(row))
        counts = np.diff(first, append=len(row))
        most = int(counts.max(initial=0))
        if most <= 1:
            self.rows, self.counts, self.order, self.place = row, counts, every, every
            self.nth = np.zeros(len(row), np.int64)
            self.spans = [(0, len(row))] if len(row) else []
            return
        rank = np.argsort(-counts, kind="stable")
        self.rows, self.counts = row[first[rank]], counts[rank]
        sizes = np.bincount(counts, minlength=most + 1)[::-1].cumsum()[::-1][1:]
        bounds = np.concatenate(([0], np.cumsum(sizes)))
        place = np.empty(len(rank), np.int64)
        place[rank] = np.arange(len(rank))
        nth = every - np.repeat(first, counts)
        self.order = np.empty(len(row), np.int64)
        self.order[bounds[nth] + np.repeat(place, counts)] = every
        self.nth = np.repeat(np.arange(most), sizes)
        self.place = every - bounds[self.nth]
        self.spans = list(itertools.pairwise(bounds.tolist()))


def starts(row: Ints) -> Ints:
    """Where the elements of each row begin, in an array sorted by row."""
    return np.flatnonzero(np.diff(row, prepend=-1))


def in_rounds(row: Ints, elements: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Some of the elements, as rounds: the elements of each and their rows."""
    if len(elements):
        rounds = Rounds(row[elements])
        for start, end in rounds.spans:
            yield elements[rounds.order[start:end]], rounds.rows[: end - start]


class Poll(msgspec.Struct):
    """The readings to judge, sorted by row and, within one, in the order in which they came. An element is one of them.

    Attributes:
        arrivals: all records of the poll.
        core: what is known of the sensors, as it was before these readings.
        spools: names the numbers in `core`.
        place: in `arrivals`.
        row, value, time, received, seq, spool, unset: of the reading; `spool` is a number, see Spools; unset: the clock was in
            doubt; doubted: it was at the reading before.
        first: the elements that begin a row.
        before: value of the reading before of the same sensor; NaN for the first one ever.
        before2: of the one before that.
        stepped: the clock was set since then: the times say nothing of how long it was.
        elapsed: seconds since that reading, 0 for the first one ever and where the clock was set.
        number: readings of the sensor that were judged before.
        watched, age: for how long it has been watched until this reading, in nanoseconds and in days.
        moves, rises: how often its value had changed until now, this reading included, and how often it rose.
        kinds: how many different values it has shown, this one included, KINDS at most.
        ratio: the score of the reading, relative to what would make a rule say something; rules raise it.
    """

    arrivals: Sequence[Arrival]
    core: Columns
    spools: Spools
    place: Ints
    row: Ints
    value: Floats
    time: Ints
    received: Ints
    seq: Ints
    spool: Ints
    unset: Bools
    doubted: Bools
    first: Ints
    before: Floats
    before2: Floats
    stepped: Bools
    elapsed: Floats
    number: Ints
    watched: Ints
    age: Floats
    moves: Ints
    rises: Ints
    kinds: Ints
    ratio: Floats

    def reading(self, element: int) -> Reading:
        """The reading itself."""
        return self.arrivals[int(self.place[element])].reading

    def is_first(self, element: int) -> bool:
        """Whether it is the first of its sensor in this poll."""
        return element == 0 or bool(self.row[element - 1] != self.row[element])

    def previous(self, element: int) -> Origin:
        """The reading of the same sensor before this one."""
        if not self.is_first(element):
            reading = self.reading(element - 1)
            return Origin(reading.spool, reading.seq, reading.time, float(self.value[element - 1]))
        row, core = self.row[element], self.core
        spool = self.spools.id(int(core["spool"][row]))
        return Origin(spool, int(core["seq"][row]), int(core["time"][row]), float(core["value"][row]))

    def shown(self, element: int) -> float:
        """Its value as it came: an integer is no float."""
        value = self.reading(element).value
        return value if isinstance(value, (int, float)) else float(self.value[element])

    def whole_rows(self, those: Bools) -> Bools:
        """All readings of the sensors that have one of those."""
        if not those.any():
            return those
        return np.repeat(np.logical_or.reduceat(those, self.first), np.diff(self.first, append=len(self.row)))

    def is_quantity(self) -> Bools:
        """Whether the sensor measures something that goes up and down: no states, and no counter.

        A counter never falls but for resets.
        """
        falls = self.moves - self.rises
        return (self.kinds >= KINDS) & (falls * 50 > self.rises)


def shifted(array: Floats, first: Ints, begin: Floats) -> Floats:
    """Each element's predecessor in its row; `begin` is that of the first of each row."""
    before = np.empty_like(array)
    before[1:] = array[:-1]
    before[first] = begin
    return before


def since(array: Ints, first: Ints, begin: Ints) -> Ints:
    """Running totals of each row, from `begin` on."""
    total = np.cumsum(array)
    counts = np.diff(first, append=len(array))
    return total + np.repeat(begin - total[first] + array[first], counts)


def clock_was_set(interval: Floats, unset: Bools, doubted: Bools) -> Bools:
    """Whether so many seconds say only that: by a clock that was in doubt at one of two readings, or that jumped."""
    return np.asarray((unset != doubted) | (interval > np.where(unset, LONGEST, YEAR)))


def passed(time: Ints, before: Ints) -> Floats:
    """Seconds from `before` to `time`; 0 if that is backwards."""
    difference = time - before
    # Only times that no clock shows are farther apart than 64 bits can say.
    difference = np.where((time > before) & (difference < 0), 2**63 - 1, difference)
    return np.asarray(np.maximum(difference, 0) / 1e9)
