"""The rule `never-seen`: a value far outside of all that the sensor has ever shown."""

from typing import Final, Literal

import numpy as np

from gateway.detect.config import DetectConfig
from gateway.detect.events import Finding
from gateway.detect.poll import Poll, in_rounds
from gateway.detect.rules.rule import Say
from gateway.detect.state import Columns, Floats, Ints
from gateway.detect.text import LARGEST, duration, quantity, share, share_before

WARM_UP: Final = 1000
MARGIN: Final = 0.05
EARLY: Final = 0.5
"""Nothing is said before so many readings and a day. From then on a value must be beyond the range by the margin, a share
of the range, and by `EARLY` divided by the days that were seen: a range seen for longer is known better."""


class NeverSeen:
    """The range of a sensor is all that it has shown.

    Of the warm-up it leaves out the outermost value on either side if that lies far from all others: a lone piece of garbage
    does not widen it for good.

    Outside by less than the margin a reading widens the range; by more it raises an anomaly. That is updated when twice
    as far outside as when last said, and cleared when the value is back in the range, which then takes in what was seen
    meanwhile. States and counters are not judged. The score is the distance to the range, as a share of it.
    """

    slot: Final = "never-seen"
    name: Final = "never-seen"
    learns: Final = True

    def __init__(self) -> None:
        fields = (
            "low",
            "high",
            "bottom",
            "top",
            "lone_low",
            "lone_high",
            "earlier_low",
            "earlier_high",
            "said",
        )
        self.columns = Columns(
            {"open": "?", "unlearned": "?", "settled": "?", "since": "i8", "readings": "i8"}
            | dict.fromkeys(fields, "f8"),
            {
                "low": np.inf,
                "high": -np.inf,
                "bottom": np.inf,
                "top": -np.inf,
                "lone_low": np.nan,
                "lone_high": np.nan,
            },
        )
        self.settings = Columns({"on": "?"})

    def watch(self, row: int, device: str, sensor: str, config: DetectConfig) -> bool:
        """See Rule."""
        wanted = config.never_seen_for(device, sensor)
        self.settings["on"][row] = wanted
        return wanted

    def judge(self, poll: Poll, say: Say) -> None:
        """See Rule."""
        state, row, value = self.columns, poll.row, poll.value
        ready = (poll.number >= WARM_UP) & (poll.age >= 1.0)
        usable = np.abs(value) < LARGEST  # whom nobody judges learns all the same: it may be judged one day
        early = usable & ~ready
        beyond = (value < state["low"][row]) | (value > state["high"][row])
        if beyond.any():
            self._collect(row, value, np.flatnonzero(early & beyond))
        if not state["settled"][row[poll.first]].all():
            self._settle(np.unique(row[ready & ~state["settled"][row]]))
        low, high = state["low"][row], state["high"][row]
        outside = usable & ready & ((value < low) | (value > high) | state["open"][row])
        if not outside.any():
            return
        margin = MARGIN + EARLY / np.maximum(poll.age, 1.0)
        judged = self.settings["on"][row] & ready & poll.is_quantity()
        suspect = judged & (np.maximum(value - high, low - value) > margin * (high - low))
        concerned = poll.whole_rows(outside & (suspect | state["open"][row]))
        silent = np.flatnonzero(outside & ~concerned)
        np.maximum.at(state["high"], row[silent], value[silent])
        np.minimum.at(state["low"], row[silent], value[silent])
        concerned &= usable & ready
        for element, rows in in_rounds(row, np.flatnonzero(concerned)):
            low, high, is_open = state["low"][rows], state["high"][rows], state["open"][rows]
            v = value[element]
            width = high - low
            distance = np.maximum(v - high, low - v)
            bound = margin[element] * width
            raised = ~is_open & judged[element] & (distance > bound) & (width > 0)
            cleared = is_open & (distance <= 0)
            said = state["said"][rows]
            still = is_open & ~cleared
            updated = still & (distance >= 2 * said)
            state["open"][rows] = (is_open | raised) & ~cleared
            state["since"][rows] = np.where(raised, poll.time[element], state["since"][rows])
            state["readings"][rows] = np.where(raised, poll.number[element], state["readings"][rows])
            state["said"][rows] = np.where(raised | updated, distance, said)
            state["unlearned"][rows] &= ~raised
            for name, edge in (("earlier_low", low), ("earlier_high", high), ("top", v), ("bottom", v)):
                state[name][rows] = np.where(raised, edge, state[name][rows])
            state["top"][rows] = np.where(still, np.maximum(state["top"][rows], v), state["top"][rows])
            state["bottom"][rows] = np.where(
                still, np.minimum(state["bottom"][rows], v), state["bottom"][rows]
            )
            grows = ~is_open & ~raised
            teaches = cleared & ~state["unlearned"][rows]
            wide = np.where(teaches, state["top"][rows], np.where(grows, v, -np.inf))
            deep = np.where(teaches, state["bottom"][rows], np.where(grows, v, np.inf))
            state["high"][rows] = np.fmax(high, wide)
            state["low"][rows] = np.fmin(low, deep)
            wanted = np.where(is_open, 2 * said, bound)
            known = judged[element] & (wanted > 0)
            poll.ratio[element] = np.maximum(
                poll.ratio[element], np.where(known, distance / np.where(known, wanted, 1.0), 0.0)
            )
            for at in np.flatnonzero(raised | updated | cleared):
                event: Literal["raised", "updated", "cleared"] = (
                    "raised" if raised[at] else "cleared" if cleared[at] else "updated"
                )
                self._say(poll, say, int(element[at]), event, low[at], high[at], said[at])

    def accept(self, row: int) -> str:
        """See Rule."""
        state = self.columns
        state["high"][row] = max(state["high"][row], state["top"][row])
        state["low"][row] = min(state["low"][row], state["bottom"][row])
        self.close(row)
        return self._range(row)

    def fault(self, row: int) -> str:
        """See Rule."""
        state = self.columns
        state["unlearned"][row] = True
        state["low"][row] = max(state["low"][row], state["earlier_low"][row])
        state["high"][row] = min(state["high"][row], state["earlier_high"][row])
        return self._range(row)

    def close(self, row: int) -> None:
        """See Rule."""
        self.columns["open"][row] = False

    def _collect(self, row: Ints, value: Floats, elements: Ints) -> None:
        """Keep the two outermost values on either side: `top` and `high`, `bottom` and `low`."""
        state = self.columns
        for element, rows in in_rounds(row, elements):
            v = value[element]
            for outermost, second, beyond in (
                ("top", "high", np.greater_equal),
                ("bottom", "low", np.less_equal),
            ):
                edge, inner = state[outermost][rows], state[second][rows]
                first = beyond(v, edge)
                state[second][rows] = np.where(first, edge, np.where(beyond(v, inner), v, inner))
                state[outermost][rows] = np.where(first, v, edge)

    def _settle(self, rows: Ints) -> None:
        """The warm-up of these is over: their outermost values belong to the range, unless one lies far from all others."""
        state = self.columns
        low, high = state["low"][rows], state["high"][rows]
        bound = (MARGIN + EARLY) * (high - low)
        for edge, inner, lone, far in (
            ("top", "high", "lone_high", state["top"][rows] - high > bound),
            ("bottom", "low", "lone_low", low - state["bottom"][rows] > bound),
        ):
            outermost = state[edge][rows]
            state[lone][rows] = np.where(far, outermost, np.nan)
            state[inner][rows] = np.where(far, state[inner][rows], outermost)
        state["settled"][rows] = True

    def _range(self, row: int) -> str:
        return f"the range is {self.columns['low'][row]:.10g} to {self.columns['high'][row]:.10g}"

    def _save(self, row: int, low: float, high: float, unit: str) -> str:
        """Which values of the warm-up the range leaves out."""
        lones = (float(self.columns[name][row]) for name in ("lone_low", "lone_high"))
        left_out = [f"one of {quantity(one, unit)}" for one in lones if one < low or one > high]
        return f", save {' and '.join(left_out)}" if left_out else ""

    def _say(  # noqa: PLR0913, PLR0917 - the numbers of one sentence
        self,
        poll: Poll,
        say: Say,
        element: int,
        event: Literal["raised", "updated", "cleared"],
        low: Floats,
        high: Floats,
        said: Floats,
    ) -> None:
        reading, row = poll.reading(element), int(poll.row[element])
        value, unit, bottom, top = poll.shown(element), reading.unit, float(low), float(high)
        state = self.columns
        distance = max(float(value) - top, bottom - float(value), 0.0)
        score = min(distance / (top - bottom), LARGEST)  # of a range of denormals it could be infinite
        text = f"{quantity(bottom, unit, value)} to {quantity(top, unit, value)}"
        if event == "cleared":
            least, most = (quantity(float(state[name][row]), unit) for name in ("bottom", "top"))
            seen = least if least == most else f"{least} to {most}"
            lasted = duration(reading.time - int(state["since"][row]))
            text = f"back at {quantity(value, unit)} within the range {text} after {lasted}; meanwhile {seen}"
        else:
            edge = top if float(value) > top else bottom
            way = "above" if float(value) > top else "below"
            # When it was raised; since then there are its own. A row of an earlier version does not know.
            number = int(state["readings"][row]) or int(poll.number[element])
            text = (
                f"{quantity(value, unit, edge)} is {way} the range {text} of {number} readings before"
                f"{self._save(row, bottom, top, unit)}, by {share(score)}"
            )
            if event == "updated":
                before = min(float(said) / (top - bottom), LARGEST)
                text += f"; {share_before(before)} when last said"
        say(Finding(int(poll.place[element]), row, event, "alarm", text, score, bottom, top))
