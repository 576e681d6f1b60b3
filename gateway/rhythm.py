"""How often one device is heard, and how long it may be quiet before that means something."""

from array import array
from typing import Final, Literal

KEPT: Final = 32
"""Intervals remembered of a device: its last ones."""

ENOUGH: Final = 10
"""Intervals that must be known before a device is judged by them."""

BURST: Final = 0.5
"""Seconds within which all that comes of a device is one sign of life: its sensors report one after the other."""

FLOOR: Final = 10.0
"""Seconds of quiet below which no device is called silent: batches and links have delays of their own."""

UNEVEN: Final = 4.0
"""A device is irregular if nine of ten of its intervals are not within this factor: it says something when something
happens, or its sensors report at times of their own."""

A_DAY: Final = 86_400.0
"""Seconds that an irregular device must be known before it is judged, and then by the longest interval there ever was:
a door that is opened a hundred times a day is quiet at night."""

Habit = Literal["learning", "regular", "irregular"]


class Rhythm:
    """One device. Times are in seconds of the monotonic clock.

    Attributes:
        last: when it was last heard.
        counted: the same, but for what came within BURST of that; the next interval is counted from here.
        silent_since: when it was called silent; 0.0 if it is not.
    """

    __slots__ = (
        "_first",
        "_intervals",
        "_judged",
        "_limit",
        "_longest",
        "_oldest",
        "counted",
        "last",
        "silent_since",
    )

    def __init__(self, now: float) -> None:
        self.last = self.counted = self._first = now
        self.silent_since = 0.0
        self._intervals = array("f")
        self._oldest = 0  # where the next interval goes once there are KEPT
        self._longest = 0.0
        self._limit = float("inf")
        self._judged = True

    def learn(self, interval: float) -> None:
        """It was heard again after so many seconds, through all of which its source was here.

        What goes beyond the limit counts as the limit: so one failure teaches little, and a new rhythm is learned yet.
        """
        if self._judged:
            interval = min(interval, self._limit)
        if len(self._intervals) < KEPT:
            self._intervals.append(interval)
        else:
            self._intervals[self._oldest] = interval
            self._oldest = (self._oldest + 1) % KEPT
        self._longest = max(self._longest, interval)
        self._judged = False

    def limit(self) -> float:
        """Seconds it may be quiet, from `counted` on, before it is silent; infinite while that is not known."""
        if self._judged:
            return self._limit
        self._judged = True
        known = sorted(self._intervals)
        if len(known) >= ENOUGH:
            if _regular(known):
                self._limit = max(5 * known[len(known) // 2], 3 * known[-1], FLOOR)
            else:
                self._limit = max(3 * self._longest, FLOOR, self._first + A_DAY - self.counted)
        return self._limit

    def usual(self) -> float | None:
        """The usual interval in seconds: the median of the last ones. None before ENOUGH are known."""
        known = sorted(self._intervals)
        return known[len(known) // 2] if len(known) >= ENOUGH else None

    def habit(self) -> Habit:
        """Whether its intervals are much alike, if enough are known."""
        known = sorted(self._intervals)
        if len(known) < ENOUGH:
            return "learning"
        return "regular" if _regular(known) else "irregular"


def _regular(known: list[float]) -> bool:
    tenth = len(known) // 10
    return known[-1 - tenth] <= UNEVEN * known[tenth]
