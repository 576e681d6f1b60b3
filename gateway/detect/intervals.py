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


def learn(columns: Columns, row: Ints, gap: Floats) -> tuple[Floats, Floats]:
    """Learn intervals, sorted by row; for each, as it was before: how long is remarkable, and the median.

    The median moves by a hundredth up or down, in larger steps at first. The percentile is the longest of the first
    hundred; then it moves towards the interval, up to a tenth up or a thousandth down: in balance where one in a hundred is
    longer.
    """
    rounds = Rounds(row)
    usual, slow, count = (columns[name][rounds.rows] for name in FIELDS)
    gap = gap[rounds.order]
    known = count[rounds.place] + rounds.nth
    step = np.maximum(_STEP, 1 / (known + 2.0))
    young = known < _EARLY
    any_young = bool(young.any())
    middles, uppers = np.empty(len(row)), np.empty(len(row))
    for start, end in rounds.spans:
        now, middle, upper = gap[start:end], usual[: end - start], slow[: end - start]
        middles[start:end], uppers[start:end] = middle, upper
        middle += middle * step[start:end] * np.sign(now - middle)
        later = np.maximum(np.minimum(now, upper * 1.1), upper * 0.999)
        if any_young:
            later = np.where(young[start:end], np.maximum(upper, now), later)
            middle[known[start:end] == 0] = now[known[start:end] == 0]
        upper[:] = later
    for name, learned in zip(FIELDS, (usual, slow, count + rounds.counts), strict=True):
        columns[name][rounds.rows] = learned
    bound, before = np.empty(len(row)), np.empty(len(row))
    bound[rounds.order], before[rounds.order] = remarkable(middles, uppers, known), middles
    return bound, before


def remarkable(usual: Floats, slow: Floats, count: Ints) -> Floats:
    """From how many seconds on silence is remarkable."""
    bound = np.maximum(np.maximum(5 * usual, 3 * slow), FLOOR)
    return np.where(count >= READY, bound, np.inf)
