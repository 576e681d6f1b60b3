"""What is usual between two readings: median and 99th percentile, learned one interval after the other in a few numbers."""

from typing import Final

import numpy as np

from gateway.detect.poll import Rounds
from gateway.detect.state import Columns, Floats, Ints

FIELDS: Final = {"usual": "f8", "slow": "f8", "intervals": "i8"}
"""Median and percentile in seconds, and how many intervals are known."""

READY: Final = 30
FLOOR: Final = 60.0
"""So many intervals must be known; silence shorter than so many seconds is never remarkable."""

_EARLY: Final = 100
_STEP: Final = 0.01


def learn(columns: Columns, row: Ints, gap: Floats, early: float = np.inf) -> Floats:
    """Learn intervals, sorted by row, and say for each how long one had to be to be remarkable, as it was before
    (`early` until enough are known).

    The median moves by a hundredth up or down, in larger steps at first. The percentile is the longest of the first
    hundred; then it moves a tenth up, to the interval at most, or a thousandth down: in balance where one in a hundred is
    longer.
    """
    rounds = Rounds(row)
    usual, slow, count = (columns[name][rounds.rows] for name in FIELDS)
    gap = gap[rounds.order]
    bound = np.empty(len(row))
    for start, end in rounds.spans:
        size, now = end - start, gap[start:end]
        known, middle, upper = count[:size], usual[:size], slow[:size]
        bound[start:end] = remarkable(middle, upper, known, early)
        step = np.maximum(_STEP, 1 / (known + 2.0))
        later = np.where(now > upper, np.minimum(now, upper * 1.1), upper * 0.999)
        slow[:size] = np.where(known < _EARLY, np.maximum(upper, now), later)
        usual[:size] = np.where(known == 0, now, middle * (1 + step * np.sign(now - middle)))
        count[:size] += 1
    for name, learned in zip(FIELDS, (usual, slow, count), strict=True):
        columns[name][rounds.rows] = learned
    in_place = np.empty(len(row))
    in_place[rounds.order] = bound
    return in_place


def remarkable(usual: Floats, slow: Floats, count: Ints, early: float = np.inf) -> Floats:
    """From how many seconds on silence is remarkable; `early` until enough intervals are known."""
    bound = np.maximum(np.maximum(5 * usual, 3 * slow), FLOOR)
    return np.where(count >= READY, bound, early)
