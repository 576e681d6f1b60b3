"""When each gateway was heard of, in one partition: silence of all is not the silence of each."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import numpy as np

from gateway.detect.poll import SECOND, in_rounds, starts
from gateway.detect.state import LONG_AGO, Columns, Ints, Row

TOGETHER: Final = 3
"""The silence of fewer sensors than these may be a coincidence, and each is told of; unless the gateway tells how it is:
then each is told of while it lasts.
"""

GAPS: Final = 16
"""Of each gateway so many gaps of about one length are remembered, and so many absences."""

_LATE: Final = 1.5
_SLACK: Final = 5 * SECOND
"""A sign of life that comes so many times later than usual, and so many nanoseconds, and by a gap, follows an absence."""

SET_BACK: Final = 3600 * SECOND
"""Readings that came by a clock that is behind by so many nanoseconds show that it was set back."""

GAP: Final = 60 * SECOND
"""Nanoseconds."""

Spans = Sequence[tuple[int, int]]
"""From when to when."""


class Heard:
    """The gateways whose sensors are in a bank.

    A gap is a minute or more in which none of its sensors was heard of. An absence is a gap that is long for this gateway, and
    in which it did not say that it lives either. Hearing of the same readings again changes nothing.
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
        self._absences: dict[int, list[tuple[int, int]]] = {}
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
            self._absences.pop(number, None)
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
        for number in gateway[first].tolist():
            if number in self._gaps or number in self._absences:
                self._forget(number)
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
        fresh = last == LONG_AGO
        gaps = ~fresh & (now - last >= GAP)
        for at in np.flatnonzero(gaps & together).tolist():
            self._gaps.setdefault(int(owner[at]), []).append(
                (int(last[at]), int(now[at]), int(place[order[head[at]]]))
            )
        for at in np.flatnonzero(fresh | gaps).tolist():
            number = int(owner[at])
            self._sign(number, max(int(last[at]), int(columns["alive"][number])), int(now[at]))
        number = gateway[first]
        columns["alive"][number] = np.maximum(columns["alive"][number], columns["last"][number])

    def alive(self, gateway: str, until: int, *, told: bool) -> None:
        """It was alive at `until`; `told`: by its own word, and not by what came of it."""
        number, columns = self.number(gateway), self.columns
        columns["told"][number] |= told
        before = int(columns["alive"][number])
        if not told and before - until > SET_BACK:
            before, columns["last"][number] = LONG_AGO, until
            self._gaps[number] = [gap for gap in self._gaps.get(number, []) if gap[1] <= until]
            self._absences[number] = [one for one in self._absences.get(number, []) if one[1] <= until]
        self._sign(number, before, until)
        columns["alive"][number] = max(until, before)

    def _sign(self, number: int, before: int, now: int) -> None:
        """A sign of life, and the one before: a reading, or its own word. Only those that end a gap say anything new."""
        columns = self.columns
        if before == LONG_AGO:
            columns["since"][number], columns["every"][number] = now, 0
            return
        step, every = now - before, int(columns["every"][number])
        if step < GAP:
            return
        if step > _LATE * every + _SLACK:
            columns["since"][number] = now
            columns["every"][number] = min(step, max(2 * every, GAP))
            self._absences.setdefault(number, []).append((before, now))
        else:
            columns["every"][number] = max(step, every * 9 // 10)

    def since(self, gateway: str) -> int:
        """Since when it is known to have been alive, up to its last sign of life."""
        return int(self.columns["since"][self.number(gateway)])

    def reached(self, row: int, since: int, lasted: int, place: int | None = None) -> int:
        """When so many nanoseconds from `since` on are over, not counting gaps of the gateway of half as many or more.

        Gaps that were not known yet at the reading in this place of the poll do not count.
        """
        return _after(since, lasted, self._known(int(self.of[row]), since, place))

    def proven(self, row: int, since: int, lasted: int) -> int:
        """When it had shown for so many nanoseconds from `since` on that it lives: absences do not count either."""
        number = int(self.of[row])
        absences = [one for one in self._absences.get(number, []) if one[1] > since]
        return _after(since, lasted, self._known(number, since, None), absences)

    def _known(self, number: int, since: int, place: int | None) -> Spans:
        """The gaps that were remembered at this place of the poll; after it, all that there were in it."""
        gaps = self._gaps.get(number, [])
        end = len(gaps) if place is None else bisect_right(gaps, place, key=itemgetter(2))
        known: list[tuple[int, int]] = []
        counts: Counter[int] = Counter()
        for at in range(end - 1, -1, -1):
            left, back, _ = gaps[at]
            if back <= since:
                break
            counts[length := _length(left, back)] += 1
            if place is None or counts[length] <= GAPS:
                known.append((left, back))
        return known

    def _forget(self, number: int) -> None:
        """Of the gaps all but the last ones of each length, and all but the last absences."""
        counts: Counter[int] = Counter()
        kept = []
        for left, back, _ in reversed(self._gaps.get(number, [])):
            counts[length := _length(left, back)] += 1
            if counts[length] <= GAPS:
                kept.append((left, back, -1))
        self._gaps[number] = kept[::-1]
        self._absences[number] = self._absences.get(number, [])[-GAPS:]

    def save(self, gateway: str) -> tuple[Row, Spans, Spans]:
        """What is known of it: its numbers, its gaps and its absences."""
        number = self.number(gateway)
        self._forget(number)
        gaps = [(left, back) for left, back, _ in self._gaps[number]]
        return self.columns.save(np.array([number]))[0], gaps, self._absences[number]

    def load(self, gateway: str, saved: Row, gaps: Spans, absences: Spans) -> None:
        """Put back what was saved."""
        number = self.number(gateway)
        self.columns.load(number, saved)
        self._gaps[number] = [(left, back, -1) for left, back in gaps]
        self._absences[number] = list(absences)


def _length(left: int, back: int) -> int:
    """Of a gap, about: as a power of two of minutes."""
    return ((back - left) // GAP).bit_length()


def _after(since: int, lasted: int, gaps: Spans, absences: Spans = ()) -> int:
    """`lasted` after `since`, without gaps of half as long or longer, and without absences."""
    out = [one for one in gaps if 2 * (one[1] - one[0]) >= lasted]
    over, until = since, since + lasted
    for left, back in sorted([*out, *absences]):
        if left >= until:
            break
        until += max(0, back - max(left, over))
        over = max(over, back)
    return until
