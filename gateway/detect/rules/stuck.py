"""The rule `stuck`: a sensor that says the same over and over."""

from typing import Final, Literal

import numpy as np

from gateway.detect.config import DetectConfig
from gateway.detect.events import Finding, Origin
from gateway.detect.poll import SECOND, Poll, in_rounds
from gateway.detect.rules.rule import Say
from gateway.detect.state import Bools, Columns, Ints
from gateway.detect.text import duration, quantity

FEWEST: Final = 20
SHORTEST: Final = 600 * SECOND
TIMES: Final = 5
TIMES_EARLY: Final = 20
"""Learned only: a run of equal values must be of so many readings, last so long, and be so many times longer than the
longest one before, in the first day by the larger factor: the top of a daily cycle is flat, and was not seen yet."""


class Stuck:
    """A run of equal values that is far longer than any before, or longer than somebody allows.

    Learned, it judges quantities only, neither states nor counters. An anomaly teaches nothing, unless it is accepted.
    Updated when the run is twice as long as when last said, cleared when the value changes. The score is the length of
    the run in readings.
    """

    slot: Final = "stuck"
    name: Final = "stuck"

    def __init__(self) -> None:
        self.columns = Columns(
            {
                "open": "?",
                "run": "i8",
                "since": "i8",
                "seq": "i8",
                "spool": "i8",
                "longest": "i8",
                "said": "i8",
                "last": "i8",
            }
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
        longest = state["longest"][row]
        lasted = poll.time - since
        learned, after = self.settings["learned"][row], self.settings["after"][row]
        suspect = learned & (run >= FEWEST) & (run >= TIMES * longest) & (lasted >= SHORTEST)
        suspect |= (lasted >= after) & (run > 1)
        concerned = poll.whole_rows(suspect | state["open"][row])
        silent = np.flatnonzero(~concerned & (ended > longest))
        np.maximum.at(state["longest"], row[silent], ended[silent])
        quantity_now = poll.is_quantity()
        for element, rows in in_rounds(row, np.flatnonzero(concerned)):
            most, length, end = state["longest"][rows], run[element], ended[element]
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
            state["said"][rows] = np.where(raised | updated, length, said)
            state["last"][rows] = np.where(cleared, end, state["last"][rows])
            state["longest"][rows] = np.where(cleared, most, np.maximum(most, end))
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
                    int(most[at]),
                    carried,
                    begin,
                )
            for at in np.flatnonzero(cleared):
                self._clear(poll, say, int(element[at]), int(end[at]), since)
        self._remember(poll, run, begin, carried)

    def accept(self, row: int) -> str:
        """See Rule."""
        state = self.columns
        seen = state["run"][row] if state["open"][row] else state["last"][row]
        state["longest"][row] = max(state["longest"][row], seen)
        self.close(row)
        return f"the longest run of equal values is now {state['longest'][row]} readings"

    def fault(self, row: int) -> str:
        """See Rule. An anomaly teaches it nothing."""
        return f"the longest run of equal values is still {self.columns['longest'][row]} readings"

    def close(self, row: int) -> None:
        """See Rule."""
        self.columns["open"][row] = False

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
        longest: int,
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
            before = "never twice in a row" if longest < 2 else f"at most {longest} in a row"  # noqa: PLR2004 - two is a pair
            text += f"; {before} before"
        else:
            text += f"; {duration(int(self.settings['after'][row]))} are allowed"
        say(Finding(int(poll.place[element]), row, event, "alarm", text, float(length), first=first))

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
