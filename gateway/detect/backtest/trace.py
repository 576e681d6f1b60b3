"""What is drawn of a sensor: its values, thinned so that no extreme disappears, and the range that was expected."""

from typing import Final

import numpy as np

from gateway.detect.state import Floats, Ints

PIXELS: Final = 1_500
"""As wide as a drawing is; so many bins of time are kept of each series."""

MOST: Final = 8 * PIXELS
"""Points of a series that are in memory at most."""


class Trace:
    """One sensor."""

    def __init__(self) -> None:
        self._time: Ints = np.zeros(0, np.int64)
        self._value: Floats = np.zeros(0)
        self._band: list[tuple[int, float, float]] = []
        self._every = self._skipped = 1

    def add(self, time: Ints, value: Floats) -> None:
        """Readings, in the order in which they came."""
        self._time, self._value = np.append(self._time, time), np.append(self._value, value)
        if len(self._time) > MOST:
            self._time, self._value = thinned(self._time, self._value, PIXELS)

    def expect(self, time: int, low: float, high: float) -> None:
        """The range that is expected from `time` on."""
        if self._skipped < self._every:
            self._skipped += 1
            return
        self._skipped = 1
        self._band.append((time, low, high))
        if len(self._band) > 2 * PIXELS:
            self._band = self._band[::2]
            self._every *= 2

    def line(self) -> tuple[Ints, Floats]:
        """The values to draw, in order of time, with NaN where nothing was measured for long."""
        time, value = thinned(self._time, self._value, PIXELS)
        if len(time) < 3:  # noqa: PLR2004 - fewer have no usual distance
            return time, value
        step = np.diff(time)
        gap = np.flatnonzero(step > 20 * np.median(step)) + 1
        return np.insert(time, gap, time[gap - 1]), np.insert(value, gap, np.nan)

    def band(self) -> tuple[Ints, Floats, Floats]:
        """From when on which range was expected, in order of time."""
        time = np.array([one[0] for one in self._band], np.int64)
        ranges = np.array([one[1:] for one in self._band], np.float64).reshape(-1, 2)
        order = np.argsort(time, kind="stable")
        return time[order], ranges[order, 0], ranges[order, 1]


def thinned(time: Ints, value: Floats, bins: int) -> tuple[Ints, Floats]:
    """In order of time, with the lowest and the highest of each of so many equal parts of the time; all, if they are few."""
    order = np.argsort(time, kind="stable")
    time, value = time[order], value[order]
    if len(time) <= 2 * bins:
        return time, value
    width = (int(time[-1]) - int(time[0])) // bins + 1
    part = (time - time[0]) // width
    by_value = np.lexsort((value, part))
    first = np.flatnonzero(np.diff(part[by_value], prepend=-1))
    last = np.append(first[1:], len(part)) - 1
    kept = np.union1d(by_value[first], by_value[last])
    return time[kept], value[kept]
