"""When each gateway was heard of, in one partition: silence of all is not the silence of each."""

from typing import Final

import numpy as np

from gateway.detect.intervals import FIELDS, FLOOR, learn
from gateway.detect.poll import SECOND, in_rounds, starts
from gateway.detect.state import LONG_AGO, Bools, Columns, Ints, Row

TOGETHER: Final = 3
"""The silence of fewer sensors than these may be a coincidence, and each is told of."""

GAPS: Final = 16
"""Absences remembered of each gateway."""

_LATE: Final = 1.5
_SLACK: Final = 5 * SECOND
"""A sign of life that comes so many times later than usual, and so many nanoseconds, follows an absence."""

_BURST: Final = SECOND
"""What comes within so many nanoseconds came at once."""


class Heard:
    """The gateways whose sensors are in a bank.

    An absence is a time in which none of its sensors was heard of, longer than is usual for the gateway as a whole by the
    same measure as for one sensor. Hearing of the same readings again changes nothing.
    """

    def __init__(self) -> None:
        self.columns = Columns(
            {
                **FIELDS,
                "last": "i8",
                "sensors": "i8",
                "gaps": "i8",
                "left": ("i8", (GAPS,)),
                "back": ("i8", (GAPS,)),
                "alive": "i8",
                "every": "i8",
                "since": "i8",
            },
            {"last": LONG_AGO, "alive": LONG_AGO, "since": LONG_AGO},
        )
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._rows: dict[int, set[int]] = {}
        self._free: list[int] = []
        self._size = 0
        self.of = np.zeros(0, np.int64)
        """The number of the gateway of each row."""

    def grow(self, size: int) -> None:
        """Make room for `size` sensors."""
        self.of = np.append(self.of, np.full(size - len(self.of), -1))

    def number(self, gateway: str) -> int:
        """The number of a gateway; it is remembered until its last sensor is dropped."""
        number = self._numbers.get(gateway)
        if number is None:
            if not self._free:
                larger = max(16, 2 * self._size)
                self.columns.grow(larger)
                self._free = list(range(larger - 1, self._size - 1, -1))
                self._size = larger
            number = self._numbers[gateway] = self._free.pop()
            self.columns.reset(number)
            self._rows[number] = set()
            self._names[number] = gateway
        return number

    def knows(self, gateway: str) -> bool:
        """Whether any of its sensors is remembered."""
        return gateway in self._numbers

    def named(self, numbers: Ints) -> list[str]:
        """The gateways that have these numbers."""
        return [self._names[number] for number in numbers.tolist()]

    def add(self, row: int, gateway: str) -> None:
        """A sensor of this gateway has this row now."""
        number = self.number(gateway)
        self.of[row] = number
        self._rows[number].add(row)

    def drop(self, row: int, gateway: str) -> None:
        """The sensor in this row is forgotten."""
        number = self._numbers[gateway]
        self._rows[number].discard(row)
        if not self._rows[number]:
            del self._numbers[gateway], self._rows[number], self._names[number]
            self._free.append(number)

    def rows(self, gateway: str) -> Ints:
        """The rows of its sensors."""
        return np.array(sorted(self._rows.get(self._numbers.get(gateway, -1), ())), np.int64)

    def hear(self, row: Ints, received: Ints, new: Ints) -> None:
        """Readings of a poll, in order; `new` is 1 for the first one ever of a sensor, else 0."""
        order = np.argsort(self.of[row], kind="stable")
        gateway, received, new = self.of[row][order], received[order], new[order]
        first = starts(gateway)
        columns = self.columns
        before = np.empty_like(received)
        before[1:] = received[:-1]
        before[first] = columns["last"][gateway[first]]
        begins = received - before >= _BURST
        begins[first] = True
        head = np.flatnonzero(begins)
        newest = np.maximum.reduceat(received, head)
        sensors = np.add.reduceat(new, head)
        owner, now, known = gateway[head], received[head], np.empty(len(head), np.int64)
        last = np.empty(len(head), np.int64)
        for burst, numbers in in_rounds(owner, np.arange(len(head))):
            last[burst] = before = columns["last"][numbers]
            columns["last"][numbers] = np.maximum(before, newest[burst])
            known[burst] = before = columns["sensors"][numbers]
            columns["sensors"][numbers] = before + sensors[burst]
        apart = np.flatnonzero((last != LONG_AGO) & (now - last >= _BURST))
        self._intervals(owner[apart], last[apart], now[apart], known[apart] >= TOGETHER)

    def alive(self, gateway: str, until: int) -> None:
        """Its status says that it was alive at `until`."""
        number, columns = self.number(gateway), self.columns
        before, every = int(columns["alive"][number]), int(columns["every"][number])
        if before == LONG_AGO or until - before > _LATE * every + _SLACK:
            columns["since"][number] = until
            columns["every"][number] = (
                0 if before == LONG_AGO else min(until - before, max(2 * every, _SLACK))
            )
        else:
            columns["every"][number] = max(until - before, every * 9 // 10)
        columns["alive"][number] = max(until, before)

    def present(self, row: int, since: int, until: int) -> int:
        """Nanoseconds between these two times in which the gateway of the sensor is known to have been alive."""
        since = max(since, int(self.columns["since"][self.of[row]]))
        return until - since - self.away(row, since, until)

    def away(self, row: int, since: int, until: int) -> int:
        """Nanoseconds between these two times in which the gateway of the sensor was absent."""
        number, columns = int(self.of[row]), self.columns
        if columns["sensors"][number] < TOGETHER:
            return 0
        known = min(int(columns["gaps"][number]), GAPS)
        left, back = columns["left"][number, :known], columns["back"][number, :known]
        return int(np.maximum(0, np.minimum(back, until) - np.maximum(left, since)).sum())

    def save(self, gateway: str) -> Row:
        """What is known of it."""
        return self.columns.save(np.array([self.number(gateway)]))

    def load(self, gateway: str, saved: Row) -> None:
        """Put back what was saved."""
        self.columns.load(self.number(gateway), saved)

    def _intervals(self, number: Ints, last: Ints, now: Ints, together: Bools) -> None:
        """Learn the times between bursts, sorted by gateway; those far longer than usual are absences."""
        gap, columns = (now - last) / 1e9, self.columns
        for at in np.flatnonzero((gap > learn(columns, number, gap, early=FLOOR)) & together).tolist():
            place = columns["gaps"][number[at]] % GAPS
            columns["left"][number[at], place], columns["back"][number[at], place] = last[at], now[at]
            columns["gaps"][number[at]] += 1
