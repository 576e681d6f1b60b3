"""The rule `rate`: a value that changes faster than somebody allows, or faster than it ever did."""

from typing import Final, Literal

import numpy as np

from gateway.detect.config import DetectConfig
from gateway.detect.events import Finding
from gateway.detect.poll import Poll, in_rounds
from gateway.detect.rules.rule import Say
from gateway.detect.state import Columns, Floats
from gateway.detect.text import LARGEST, duration, per_second, quantity

CALM: Final = 3
"""So many changes in a row that are not too fast, and it is over."""

WARM_UP: Final = 1000
MARGIN: Final = 1.5
"""Learned only: nothing is said before so many readings and a day; then from this many times the fastest change on,
and half of it more on the first day, a quarter on the second, and so on: what was seen for longer is known better."""


class Rate:
    """The change between two readings for each second of the time between them.

    With a limit that somebody set it is an alarm. Without, it is an advisory if it is far beyond the fastest change seen
    before; then the time between two readings counts as no less than the mean interval of the sensor, so that a jitter of
    their times makes no rates, and states and counters are not judged. Updated when twice as fast as when last said. The score is the rate.
    """

    slot: Final = "rate"
    name: Final = "rate"
    learns: Final = True

    def __init__(self) -> None:
        self.columns = Columns(
            {
                "open": "?",
                "since": "i8",
                "said": "f8",
                "peak": "f8",
                "calm": "i8",
                "record": "f8",
                "earlier": "f8",
                "unlearned": "?",
            }
        )
        self.settings = Columns({"limit": "f8", "learned": "?"}, {"limit": np.inf})

    def watch(self, row: int, device: str, sensor: str, config: DetectConfig) -> bool:
        """See Rule."""
        rate = config.rate_for(device, sensor)
        self.settings["limit"][row] = np.inf if rate is None or rate.per_s is None else rate.per_s
        self.settings["learned"][row] = rate is not None and rate.per_s is None
        return rate is not None

    def judge(self, poll: Poll, say: Say) -> None:
        """See Rule."""
        learned = self.settings["learned"][poll.row]
        change = np.abs(poll.value - poll.before)
        change[(poll.elapsed == 0) | ~(change < LARGEST)] = np.nan
        elapsed = np.where(poll.elapsed > 0, poll.elapsed, 1.0)
        paced = change / np.maximum(
            elapsed, interval(poll)
        )  # learnt also where nobody judges by it, for one day somebody may
        rate = np.where(learned, paced, change / elapsed)
        state, row = self.columns, poll.row
        record = state["record"][row]
        margin = MARGIN + 0.5 / np.maximum(poll.age, 1.0)
        ready = learned & (poll.number >= WARM_UP) & (poll.age >= 1.0)
        if ready.any():
            ready &= poll.is_quantity()
        suspect = np.where(learned, ready & (rate > margin * record), rate > self.settings["limit"][row])
        concerned = poll.whole_rows(suspect | state["open"][row])
        silent = np.flatnonzero(~concerned & (paced > record))
        np.maximum.at(state["record"], row[silent], paced[silent])
        for element, rows in in_rounds(row, np.flatnonzero(concerned & (rate >= 0))):
            r, taught, record = rate[element], learned[element], state["record"][rows]
            bound = np.where(taught & ready[element] & (record > 0), margin[element] * record, np.inf)
            limit = np.where(taught, bound, self.settings["limit"][rows])
            is_open = state["open"][rows]
            # While it is open, the limit is the one that it was raised by.
            limit = np.where(is_open & taught, margin[element] * record, limit)
            raised = ~is_open & (r > limit)
            calm = np.where(r <= limit, state["calm"][rows] + 1, 0)
            cleared = is_open & (calm >= CALM)
            said = state["said"][rows]
            updated = is_open & (r >= 2 * said)
            state["open"][rows] = (is_open | raised) & ~cleared
            state["calm"][rows] = np.where(raised, 0, calm)
            state["since"][rows] = np.where(raised, poll.time[element], state["since"][rows])
            state["said"][rows] = np.where(raised | updated, r, said)
            state["peak"][rows] = peak = np.where(
                raised, r, np.where(is_open, np.maximum(r, state["peak"][rows]), 0)
            )
            teaches = cleared & taught & ~state["unlearned"][rows]
            state["earlier"][rows] = np.where(raised, record, state["earlier"][rows])
            state["unlearned"][rows] &= ~raised
            grown = np.where(teaches, peak, np.where(~is_open & ~raised, paced[element], 0.0))
            state["record"][rows] = np.maximum(record, grown)
            poll.ratio[element] = np.maximum(poll.ratio[element], r / np.where(is_open, 2 * said, limit))
            for at in np.flatnonzero(raised | updated | cleared):
                event: Literal["raised", "updated", "cleared"] = (
                    "raised" if raised[at] else "cleared" if cleared[at] else "updated"
                )
                self._say(
                    poll,
                    say,
                    int(element[at]),
                    event,
                    _Numbers(rate, record[at], limit[at], said[at], peak[at]),
                )

    def accept(self, row: int) -> str:
        """See Rule."""
        state = self.columns
        if not self.settings["learned"][row]:
            self.close(row)
            return "the limit stays: raise it in detect.toml if it is too tight"
        state["record"][row] = max(state["record"][row], state["peak"][row], state["said"][row])
        self.close(row)
        return f"the fastest change is now {state['record'][row]:.6g} per s"

    def fault(self, row: int) -> str:
        """See Rule."""
        if not self.settings["learned"][row]:
            return "this rule learns nothing where there is a limit"
        state = self.columns
        state["unlearned"][row] = True
        state["record"][row] = min(state["record"][row], state["earlier"][row])
        return f"the fastest change is still {state['record'][row]:.6g} per s"

    def close(self, row: int) -> None:
        """See Rule."""
        self.columns["open"][row] = False

    def _say(
        self,
        poll: Poll,
        say: Say,
        element: int,
        event: Literal["raised", "updated", "cleared"],
        numbers: "_Numbers",
    ) -> None:
        row, unit = int(poll.row[element]), poll.reading(element).unit
        learned = bool(self.settings["learned"][row])
        mark, rate = float(numbers.record if learned else numbers.limit), float(numbers.rate[element])
        if event == "cleared":
            text = (
                f"back at {per_second(rate, unit)}, {CALM} changes in a row of at most {per_second(numbers.limit, unit)}, "
                f"after {duration(int(poll.time[element]) - int(self.columns['since'][row]))}; "
                f"fastest {per_second(numbers.peak, unit)}"
            )
        else:
            moved = float(poll.value[element] - poll.before[element])
            elapsed = float(poll.elapsed[element])
            took, usual = (
                duration(round(elapsed * 1e9)),
                duration(round(float(interval(poll)[element]) * 1e9)),
            )
            text = f"{'rose' if moved > 0 else 'fell'} by {quantity(abs(moved), unit)} in {took}, {per_second(rate, unit, mark)}"
            if learned and elapsed < float(interval(poll)[element]) and took != usual:
                text += f" over the usual {usual}"
            text += "; "
            if learned:
                text += (
                    f"fastest in {int(poll.number[element])} readings before: {per_second(mark, unit, rate)}"
                )
            else:
                text += f"the limit is {per_second(mark, unit, rate)}"
            if event == "updated":
                text += f"; {per_second(numbers.said, unit)} when last said"
        grade: Literal["alarm", "advisory"] = "advisory" if learned else "alarm"
        say(Finding(int(poll.place[element]), row, event, grade, text, rate))


class _Numbers:
    """What a sentence needs of one reading, as it was before the reading was learned."""

    __slots__ = ("limit", "peak", "rate", "record", "said")

    def __init__(self, rate: Floats, record: float, limit: float, said: float, peak: float) -> None:
        self.rate = rate
        self.record, self.limit, self.said, self.peak = float(record), float(limit), float(said), float(peak)


def interval(poll: Poll) -> Floats:
    """The mean interval of each sensor until now, in seconds."""
    return np.asarray(poll.age * 86_400.0 / np.maximum(poll.number, 1))
