"""The rule `limits`: a value outside the range that somebody configured. Works from the first reading."""

from typing import Final, Literal

import numpy as np

from gateway.detect.config import DetectConfig
from gateway.detect.events import Finding
from gateway.detect.poll import Poll, in_rounds
from gateway.detect.rules.rule import Say
from gateway.detect.state import Columns
from gateway.detect.text import duration, quantity

_Side = Literal["high", "low"]


class Bound:
    """One side of a range, high or low.

    Raised beyond the limit, updated whenever it is twice as far beyond as when last said (and by the hysteresis
    at least), cleared when back inside by the hysteresis. The score is the distance beyond the limit, in the unit
    of the sensor. Columns and settings hold the values of the low side with their sign turned: beyond is always above.
    """

    name: Final = "limits"
    learns: Final = False

    def __init__(self, side: _Side) -> None:
        self.slot = f"limits-{side}"
        self._side = side
        self._sign = 1.0 if side == "high" else -1.0
        self._used = False
        self.columns = Columns({"open": "?", "since": "i8", "said": "f8", "worst": "f8"})
        self.settings = Columns({"limit": "f8", "mark": "f8", "step": "f8", "other": "f8"}, {"limit": np.inf})

    def watch(self, row: int, device: str, sensor: str, config: DetectConfig) -> bool:
        """See Rule."""
        limits = config.limits_for(device, sensor)
        limit, other = (None, None)
        if limits is not None:
            limit, other = (limits.high, limits.low) if self._side == "high" else (limits.low, limits.high)
        if limits is None or limit is None:
            self.settings["limit"][row] = np.inf
            return False
        self._used = True
        step = limits.width()
        self.settings["limit"][row] = self._sign * limit
        self.settings["mark"][row] = self._sign * (limit - self._sign * step)
        self.settings["step"][row] = step
        self.settings["other"][row] = np.nan if other is None else other
        return True

    def judge(self, poll: Poll, say: Say) -> None:
        """See Rule."""
        if not self._used:
            return
        value = self._sign * poll.value
        concerned = (value > self.settings["limit"][poll.row]) | self.columns["open"][poll.row]
        state, settings = self.columns, self.settings
        for element, rows in in_rounds(poll.row, np.flatnonzero(poll.whole_rows(concerned))):
            x, limit, step = value[element], settings["limit"][rows], settings["step"][rows]
            is_open = state["open"][rows]
            beyond = x > limit
            raised = beyond & ~is_open
            state["worst"][rows] = np.where(raised | (x > state["worst"][rows]), x, state["worst"][rows])
            cleared = is_open & ~(x > settings["mark"][rows])
            said = state["said"][rows]
            farther = np.maximum(2 * (said - limit), said - limit + step)
            updated = is_open & ~cleared & beyond & (x - limit >= farther)
            state["open"][rows] = (is_open | raised) & ~cleared
            state["since"][rows] = np.where(raised, poll.time[element], state["since"][rows])
            state["said"][rows] = np.where(raised | updated, x, said)
            poll.ratio[element] = np.maximum(
                poll.ratio[element],
                np.where(is_open, (x - limit) / np.maximum(farther, 1e-300), beyond * 2.0),
            )
            for at in np.flatnonzero(raised):
                self._say(poll, say, int(element[at]), "raised", self._outside(poll, int(element[at])))
            for at in np.flatnonzero(updated):
                before = quantity(self._sign * float(said[at]), poll.reading(int(element[at])).unit)
                text = f"{self._outside(poll, int(element[at]))}; {before} when last said"
                self._say(poll, say, int(element[at]), "updated", text)
            for at in np.flatnonzero(cleared):
                self._say(poll, say, int(element[at]), "cleared", self._back(poll, int(element[at])))

    def accept(self, row: int) -> str:
        """See Rule. A person set the limit, and only a person moves it."""
        way = "raise" if self._side == "high" else "lower"
        return (
            f"the {self._side} limit {self._limit(row):g} stays: {way} it in detect.toml if it is too tight"
        )

    def fault(self, row: int) -> str:  # noqa: ARG002 - of the port
        """See Rule. It learns nothing."""
        return "this rule learns nothing"

    def close(self, row: int) -> None:
        """See Rule."""
        self.columns["open"][row] = False

    def _limit(self, row: int) -> float:
        return self._sign * float(self.settings["limit"][row])

    def _outside(self, poll: Poll, element: int) -> str:
        reading = poll.reading(element)
        limit = self._limit(int(poll.row[element]))
        relation, shown = "above" if self._side == "high" else "below", poll.shown(element)
        value = quantity(shown, reading.unit, limit)
        return f"{value} is {relation} the {self._side} limit {quantity(limit, reading.unit, shown)}"

    def _back(self, poll: Poll, element: int) -> str:
        row, reading = int(poll.row[element]), poll.reading(element)
        mark, value, unit = self._sign * float(self.settings["mark"][row]), poll.shown(element), reading.unit
        relation, extreme = ("below", "highest") if self._side == "high" else ("above", "lowest")
        inside = "" if value == mark else f" {relation} {quantity(mark, unit, value)}"
        lasted = duration(reading.time - int(self.columns["since"][row]))
        worst = quantity(self._sign * float(self.columns["worst"][row]), unit)
        return f"back at {quantity(value, unit, mark)}{inside} after {lasted}; {extreme} {worst}"

    def _say(
        self, poll: Poll, say: Say, element: int, event: Literal["raised", "updated", "cleared"], text: str
    ) -> None:
        row = int(poll.row[element])
        limit, other = self._limit(row), float(self.settings["other"][row])
        known = None if np.isnan(other) else other
        low, high = (known, limit) if self._side == "high" else (limit, known)
        score = max(0.0, self._sign * (float(poll.value[element]) - limit))
        say(Finding(int(poll.place[element]), row, event, "alarm", text, score, low, high))
