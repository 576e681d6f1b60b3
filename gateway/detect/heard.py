"""When each gateway was heard of, in one partition: silence of all is not the silence of each."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from gateway.detect.poll import SECOND, in_rounds, starts
from gateway.detect.state import LONG_AGO, Columns, Ints, Row

TOGETHER: Final = 3
"""The silence of fewer sensors than these may be a coincidence, and each is told of; unless the gateway tells how it is:
then each is told of while it lasts.
"""

GAPS: Final = 16
"""Gaps remembered of each gateway."""

_LATE: Final = 1.5
_SLACK: Final = 5 * SECOND
"""A sign of life that comes so many times later than usual, and so many nanoseconds, follows an absence."""

SET_BACK: Final = 3600 * SECOND
"""Readings that came by a clock that is behind by so many nanoseconds show that it was set back."""

GAP: Final = 60 * SECOND
"""Nanoseconds."""


class Heard:
    """The gateways whose sensors are in a bank.

    A gap is a minute or more in which none of its sensors was heard of. Hearing of the same readings again changes nothing.
    """

    def __init__(self) -> None:
        self.columns = Columns(
            {
                "last": "i8",
                "sensors": "i8",
                "alive": "i8",
                "every": "i8",
                "since": "i8",
                "told": "?",
            },
            {"last": LONG_AGO, "alive": LONG_AGO, "since": LONG_AGO},
        )
        self._numbers: dict[str, int] = {}
        self._gaps: dict[int, list[tuple[int, int, int]]] = {}
        """Beginning, end, and the place in the poll of the reading that ended it; -1: it was in an earlier poll."""
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
            self._gaps.pop(number, None)
            self._free.append(number)

    def rows(self, gateway: str) -> Ints:
        """The rows of its sensors."""
        return np.array(sorted(self._rows.get(self._numbers.get(gateway, -1), ())), np.int64)

    def hear(self, row: Ints, received: Ints, new: Ints, place: Ints) -> None:
        """Readings of a poll, in order of their place; `new` is 1 for the first one ever of a sensor, else 0."""
        order = np.argsort(self.of[row], kind="stable")
        gateway, received, new = self.of[row][order], received[order], new[order]
        first = starts(gateway)
        columns = self.columns
        for number, known_gaps in self._gaps.items():
            self._gaps[number] = [(left, back, -1) for left, back, _ in known_gaps[-GAPS:]]
        before = np.empty_like(received)
        before[1:] = received[:-1]
        before[first] = columns["last"][gateway[first]]
        # Those that begin a new stretch, and perhaps more: what came before may be older than what came before that.
        begins = received - before >= GAP
        begins[first] = True
        head = np.flatnonzero(begins)
        newest = np.maximum.reduceat(received, head)
        sensors = np.add.reduceat(new, head)
        owner, now, known = gateway[head], received[head], np.empty(len(head), np.int64)
        last = np.empty(len(head), np.int64)
        for stretch, numbers in in_rounds(owner, np.arange(len(head))):
            last[stretch] = before = columns["last"][numbers]
            columns["last"][numbers] = np.maximum(before, newest[stretch])
            known[stretch] = before = columns["sensors"][numbers]
            columns["sensors"][numbers] = before + sensors[stretch]
        together = (known >= TOGETHER) | columns["told"][owner]
        gaps = (last != LONG_AGO) & (now - last >= GAP) & together
        for at in np.flatnonzero(gaps).tolist():
            self._gaps.setdefault(int(owner[at]), []).append(
                (int(last[at]), int(now[at]), int(place[order[head[at]]]))
            )

    def alive(self, gateway: str, until: int, *, told: bool) -> None:
        """It was alive at `until`; `told`: by its own word, and not by what came of it."""
        number, columns = self.number(gateway), self.columns
        columns["told"][number] |= told
        before, every = int(columns["alive"][number]), int(columns["every"][number])
        if not told and before - until > SET_BACK:
            columns["alive"][number] = before = LONG_AGO
        if before == LONG_AGO or until - before > _LATE * every + _SLACK:
            columns["since"][number] = until
            columns["every"][number] = (
                0 if before == LONG_AGO else min(until - before, max(2 * every, _SLACK))
            )
        else:
            columns["every"][number] = max(until - before, every * 9 // 10)
        columns["alive"][number] = max(until, before)

    def since(self, gateway: str) -> int:
        """Since when it is known to have been alive, up to its last sign of life."""
        return int(self.columns["since"][self.number(gateway)])

    def present(self, row: int, since: int, until: int, least: float) -> int:
        """Nanoseconds between these two times in which the gateway of the sensor is known to have been alive, see `away`."""
        since = max(since, int(self.columns["since"][self.of[row]]))
        return until - since - self.away(row, since, until, least)

    def away(self, row: int, since: int, until: int, least: float, place: int | None = None) -> int:
        """Nanoseconds between these two times that were in gaps of the gateway of the sensor, of `least` seconds or more.

        Gaps that were not known yet at the reading in this place of the poll do not count.
        """
        number = int(self.of[row])
        if self.columns["sensors"][number] < TOGETHER and not self.columns["told"][number]:
            return 0
        gaps = self._gaps.get(number, [])
        known = [gap for gap in gaps if place is None or gap[2] <= place][-GAPS:]
        long = [(left, back) for left, back, _ in known if (back - left) / 1e9 >= least]
        return sum(max(0, min(back, until) - max(left, since)) for left, back in long)

    def save(self, gateway: str) -> tuple[Row, list[tuple[int, int]]]:
        """What is known of it: its numbers and its gaps."""
        number = self.number(gateway)
        gaps = [(left, back) for left, back, _ in self._gaps.get(number, [])[-GAPS:]]
        return self.columns.save(np.array([number]))[0], gaps

    def load(self, gateway: str, saved: Row, gaps: Iterable[tuple[int, int]]) -> None:
        """Put back what was saved."""
        number = self.number(gateway)
        self.columns.load(number, saved)
        self._gaps[number] = [(left, back, -1) for left, back in gaps]
