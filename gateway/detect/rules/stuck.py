"""The rule `stuck`: a sensor that says the same over and over."""

from typing import Final, Literal

import numpy as np

from gateway.detect.config import DetectConfig
from gateway.detect.events import Finding, Origin
from gateway.detect.poll import SECOND, Poll, in_rounds
from gateway.detect.rules.rule import Say
from gateway.detect.state import Bools, Columns, Floats, Ints
from gateway.detect.text import duration, quantity

FEWEST: Final = 20
SHORTEST: Final = 600 * SECOND
TIMES: Final = 5
TIMES_EARLY: Final = 20
PAIR: Final = 2
"""Learned only: a run of equal values must be of so many readings, last so long, and be so many times longer than the
longest one before, in the first day by the larger factor: the top of a daily cycle is flat, and was not seen yet."""


class Stuck:
    """A run of equal values that is far longer than any before, or longer than somebody allows.

    A sensor may rest at one value: no light at night, no rain. It is that of its longest run. Runs there and elsewhere are
    learned apart, so that a long rest does not hide a sensor that is stuck at what it measured.

    Learned, it judges quantities only, neither states nor counters. Updated when the run is twice as long as when last said,
    cleared when the value changes; only then the run teaches something. The score is the length of the run in readings.
    """

    slot: Final = "stuck"
    name: Final = "stuck"
    learns: Final = True

    def __init__(self) -> None:
        lengths = ("run", "longest", "rests", "earlier_longest", "earlier_rests", "said", "last")
        self.columns = Columns(
            {"open": "?", "unlearned": "?", "since": "i8", "seq": "i8", "spool": "i8"}
            | dict.fromkeys(lengths, "i8")
            | dict.fromkeys(("rest", "earlier_rest", "last_value"), "f8")
        )
        self.settings = Columns({"learned": "?", "after": "f8"}, {"after": np.inf})

    def watch(self, row: int, device: str, sensor: str, config: DetectConfig) -> bool:
        """See Rule."""
        stuck = config.stuck_for(device, sensor)
        self.settings["learned"][row] = stuck is not None and stuck.after is None
        self.settings["after"][row] = np.inf if stuck is None or stuck.after is None else stuck.after * SECOND
        return stuck is not None

    def judge(self, poll: Poll, say: Say) -> None:
        """See Rule."""
        if not len(poll.row):
            return
        state, row = self.columns, poll.row
        changed = poll.value != poll.before
        run, begin, carried = self._runs(poll, changed | poll.stepped)  # for how long, nobody knows
        since = np.where(carried, state["since"][row], poll.time[begin])
        # The run that this reading ends.
        ended = np.empty_like(run)
        ended[1:] = run[:-1]
        ended[poll.first] = state["run"][row[poll.first]]
        ended[~changed] = 0
        lasted = poll.time - since
        learned, after = self.settings["learned"][row], self.settings["after"][row]
        quantity_now = poll.is_quantity()
        suspect = (
            learned & (run >= FEWEST) & (run >= TIMES * self._longest(row, poll.value)) & (lasted >= SHORTEST)
        )
        suspect |= (lasted >= after) & (run > 1)
        news = ended > self._longest(row, poll.before)
        concerned = poll.whole_rows(suspect | news | state["open"][row])
        for element, rows in in_rounds(row, np.flatnonzero(concerned)):
            most, length, end = self._longest(rows, poll.value[element]), run[element], ended[element]
            is_open = state["open"][rows]
            times = np.where(poll.age[element] < 1.0, TIMES_EARLY, TIMES)
            bound = np.maximum(FEWEST, times * most)
            too_long = (
                learned[element] & quantity_now[element] & (length >= bound) & (lasted[element] >= SHORTEST)
            )
            too_long |= (lasted[element] >= after[element]) & (length > 1)
            cleared = is_open & changed[element]
            raised = too_long & ~is_open
            said = state["said"][rows]
            updated = is_open & ~cleared & (length >= 2 * said)
            state["open"][rows] = (is_open | raised) & ~cleared
            state["unlearned"][rows] &= ~raised
            state["last_value"][rows[raised]] = poll.value[element[raised]]
            state["said"][rows] = np.where(raised | updated, length, said)
            poll.ratio[element] = np.maximum(
                poll.ratio[element],
                np.where(is_open, length / np.maximum(2 * said, 1), np.where(too_long, 1.0, 0.0)),
            )
            for at in np.flatnonzero(raised | updated):
                event: Literal["raised", "updated"] = "raised" if raised[at] else "updated"
                self._say(
                    poll,
                    say,
                    event,
                    int(element[at]),
                    int(length[at]),
                    int(since[element[at]]),
                    carried,
                    begin,
                )
            self._keep(rows[cleared], end[cleared], poll.before[element[cleared]])
            teaches = (end > 0) & ~(cleared & state["unlearned"][rows])
            self._learn(rows[teaches], end[teaches], poll.before[element[teaches]])
            for at in np.flatnonzero(cleared):
                self._clear(poll, say, int(element[at]), int(end[at]), since)
        self._remember(poll, run, begin, carried)

    def accept(self, row: int) -> str:
        """See Rule."""
        state, one = self.columns, np.array([row])
        if state["open"][row]:
            self._keep(one, state["run"][one], state["last_value"][one])
        self._learn(one, state["last"][one], state["last_value"][one])
        self.close(row)
        return f"{self._runs_at(row)} now"

    def fault(self, row: int) -> str:
        """See Rule."""
        state = self.columns
        state["unlearned"][row] = True
        if not state["open"][row]:
            for name in ("longest", "rests", "rest"):
                state[name][row] = state[f"earlier_{name}"][row]
        return f"{self._runs_at(row)} still"

    def close(self, row: int) -> None:
        """See Rule."""
        self.columns["open"][row] = False

    def _longest(self, row: Ints, value: Floats) -> Ints:
        """The longest run before: of the value at which the sensor rests, or of all others."""
        state = self.columns
        return np.asarray(np.where(value == state["rest"][row], state["rests"][row], state["longest"][row]))

    def _learn(self, row: Ints, length: Ints, value: Floats) -> None:
        """Take in a run of each row that is over."""
        state = self.columns
        longest, rests, rest = state["longest"][row], state["rests"][row], state["rest"][row]
        other, new = value != rest, length > rests
        state["longest"][row] = np.where(other, np.maximum(longest, np.minimum(length, rests)), longest)
        state["rests"][row] = np.maximum(rests, length)
        state["rest"][row] = np.where(new, value, rest)

    def _runs_at(self, row: int) -> str:
        one = np.array([row])
        value = self.columns["last_value"][one]
        return f"at most {self._longest(one, value)[0]} readings of {value[0]:.10g} in a row are usual"

    def _keep(self, row: Ints, length: Ints, value: Floats) -> None:
        """Remember the run of an anomaly, and what was known before it, in case that a person has the last word."""
        state = self.columns
        for name in ("longest", "rests", "rest"):
            state[f"earlier_{name}"][row] = state[name][row]
        state["last"][row], state["last_value"][row] = length, value

    def _runs(self, poll: Poll, begins: Bools) -> tuple[Ints, Ints, Bools]:
        """How many equal readings end with each, the element that began them, and whether that was before this poll."""
        place = np.arange(len(begins))
        starting = begins.copy()
        starting[poll.first] = True
        begin = np.maximum.accumulate(np.where(starting, place, 0))
        carried = ~begins[begin]
        run = place - begin + 1 + np.where(carried, self.columns["run"][poll.row], 0)
        return run, begin, carried

    def _remember(self, poll: Poll, run: Ints, begin: Ints, carried: Bools) -> None:
        last = np.append(poll.first[1:], len(poll.row)) - 1
        state, rows = self.columns, poll.row[last]
        state["run"][rows] = run[last]
        new = ~carried[last]
        rows, place = rows[new], begin[last[new]]
        state["since"][rows] = poll.time[place]
        state["seq"][rows] = poll.seq[place]
        state["spool"][rows] = poll.spool[place]

    def _say(  # noqa: PLR0913, PLR0917 - the numbers of one sentence
        self,
        poll: Poll,
        say: Say,
        event: Literal["raised", "updated"],
        element: int,
        length: int,
        since: int,
        carried: Bools,
        begin: Ints,
    ) -> None:
        reading, row = poll.reading(element), int(poll.row[element])
        if carried[element]:
            first = Origin(
                poll.spools.id(int(self.columns["spool"][row])), int(self.columns["seq"][row]), since
            )
        else:
            began = poll.reading(int(begin[element]))
            first = Origin(began.spool, began.seq, began.time)
        text = f"{quantity(poll.shown(element), reading.unit)} in each of {length} readings, for {duration(reading.time - since)}"
        if self.settings["learned"][row]:
            text += f"; {self._before(row, float(poll.value[element]), reading.unit)}"
        else:
            text += f"; {duration(int(self.settings['after'][row]))} are allowed"
        say(Finding(int(poll.place[element]), row, event, "alarm", text, float(length), first=first))

    def _before(self, row: int, value: float, unit: str) -> str:
        """What the runs before were like."""
        state = self.columns
        longest, rests, rest = int(state["longest"][row]), int(state["rests"][row]), float(state["rest"][row])
        most = rests if value == rest else longest
        text = "never twice in a row before" if most < PAIR else f"at most {most} in a row before"
        return text if value == rest or rests <= most else f"{text}, but {quantity(rest, unit)} {rests} times"

    def _clear(self, poll: Poll, say: Say, element: int, length: int, since: Ints) -> None:
        reading = poll.reading(element)
        row = int(poll.row[element])
        before, value = float(poll.before[element]), poll.shown(element)
        began = int(self.columns["since"][row] if poll.is_first(element) else since[element - 1])
        held = duration(reading.time - began)
        text = (
            f"moves again, to {quantity(value, reading.unit, before)}, after {length} readings of "
            f"{quantity(before, reading.unit, value)} in {held}"
        )
        say(Finding(int(poll.place[element]), row, "cleared", "alarm", text))
