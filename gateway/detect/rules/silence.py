"""The rule `silence`: a sensor that says nothing for far longer than usual, while its gateway goes on."""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import numpy as np

from gateway.detect.config import DetectConfig
from gateway.detect.events import Finding, Origin
from gateway.detect.heard import Heard
from gateway.detect.intervals import FIELDS, learn, remarkable
from gateway.detect.poll import Poll, clock_was_set, passed
from gateway.detect.rules.rule import Say
from gateway.detect.state import LONG_AGO, Columns, Floats, Ints
from gateway.detect.text import duration, quantity

ACCEPTED: Final = 1.5
"""Silence that somebody accepted is remarkable again when it is so many times longer."""


class _Silence(NamedTuple):
    """Of the sensor in this row: since when, for how many nanoseconds, and its `last` reading before. `place`: see Finding."""

    place: int
    row: int
    since: int
    silent: int
    last: Origin


class Silence:
    """No reading for far longer than usual, or for longer than somebody allows.

    Usual is learned: five times the median interval, three times its 99th percentile, and a minute.

    Goes by the clock of the gateway, as it stamps what it receives. Time in which nothing at all came from the gateway, for
    half as long or longer, counts for none of its sensors. Raised as of the moment from which on the silence is remarkable, and
    updated as of each at which it is twice as long as when last said, whenever that shows: when the next reading comes, or before.
    The score is the silence in seconds.
    """

    slot: Final = "silence"
    name: Final = "silence"
    learns: Final = True

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self.columns = Columns({**FIELDS, "open": "?", "said": "f8", "allowed": "f8"})
        self.settings = Columns({"learned": "?", "after": "f8"}, {"after": np.inf})

    def watch(self, row: int, device: str, sensor: str, config: DetectConfig) -> bool:
        """See Rule."""
        silence = config.silence_for(device, sensor)
        self.settings["learned"][row] = silence is not None and silence.after is None
        self.settings["after"][row] = np.inf if silence is None or silence.after is None else silence.after
        return silence is not None

    def judge(self, poll: Poll, say: Say) -> None:
        """See Rule."""
        if not len(poll.row):
            return
        columns = self.columns
        before = np.empty_like(poll.received)
        before[1:] = poll.received[:-1]
        before[poll.first] = poll.core["received"][poll.row[poll.first]]
        gap = passed(poll.received, before)
        # By the clock of the gateway: the time of a reading may be by one of its device.
        was_set = clock_was_set(gap, poll.unset, poll.doubted)
        gap[was_set | (before == LONG_AGO)] = 0.0
        came = np.flatnonzero(gap > 0)
        bound, usual = np.full(len(gap), np.inf), columns["usual"][poll.row]
        bound[came], usual[came] = learn(columns, poll.row[came], gap[came])
        bound = self._bound(poll.row, bound)
        poll.ratio[came] = np.maximum(poll.ratio[came], gap[came] / bound[came])
        moments = {at: self._moment(poll, at, before, bound) for at in np.flatnonzero(gap > bound).tolist()}
        raised = [at for at, moment in moments.items() if moment < poll.received[at]]
        back = poll.first[columns["open"][poll.row[poll.first]]].tolist()
        for at in sorted({*raised, *back}):
            row, reading, place = int(poll.row[at]), poll.reading(at), int(poll.place[at])
            since = int(before[at])
            silent = 0 if was_set[at] else max(0, int(poll.received[at]) - since)
            moment = None if columns["open"][row] else moments[at]
            self._tell(_Silence(place, row, since, silent, poll.previous(at)), moment, float(usual[at]), say)
            lasted = (
                "a silence in which the clock was set" if was_set[at] else f"{duration(silent)} of silence"
            )
            text = f"back at {quantity(poll.shown(at), reading.unit)} after {lasted}"
            say(Finding(place, row, "cleared", "alarm", text))
            columns["open"][row] = False
            columns["said"][row] = columns["said"][row] if was_set[at] else silent / 1e9

    def advance(
        self, rows: Ints, received: Ints, until: int, last: Callable[[int], Origin], say: Say
    ) -> None:
        """Judge the sensors of one gateway, when all that came from it until `until` has been judged.

        `received` is when the last reading of each came, and `last` names that of a row.
        """
        columns = self.columns
        bound = remarkable(columns["usual"][rows], columns["slow"][rows], columns["intervals"][rows])
        bound = self._bound(rows, bound)
        silent = np.where(received == LONG_AGO, 0, until - received) / 1e9
        wanted = np.where(columns["open"][rows], 2 * columns["said"][rows], bound)
        for at in np.flatnonzero(silent > wanted).tolist():
            row, since = int(rows[at]), int(received[at])
            moment = None
            if not columns["open"][row]:
                lasted = round(float(bound[at]) * 1e9)
                if self._heard.proven(row, since, lasted) >= until:
                    continue
                moment = self._heard.reached(row, since, lasted)
            one = _Silence(-1, row, since, until - since, last(row))
            self._tell(one, moment, float(columns["usual"][row]), say)

    def accept(self, row: int) -> str:
        """See Rule."""
        allowed = max(float(self.columns["allowed"][row]), ACCEPTED * float(self.columns["said"][row]))
        self.columns["allowed"][row] = allowed
        self.close(row)
        return f"silence is an anomaly from {duration(round(allowed * 1e9))} on"

    def fault(self, row: int) -> str:
        """See Rule."""
        self.columns["allowed"][row] = 0.0
        return "one silence teaches this rule next to nothing"

    def close(self, row: int) -> None:
        """See Rule."""
        self.columns["open"][row] = False

    def _bound(self, row: Ints, learned: Floats) -> Floats:
        settings = self.settings
        bound = np.where(settings["learned"][row], learned, settings["after"][row])
        return np.asarray(np.maximum(bound, self.columns["allowed"][row]))

    def _moment(self, poll: Poll, at: int, before: Ints, bound: Floats) -> int:
        """When it had been silent for so long while its gateway was not."""
        lasted = round(float(bound[at]) * 1e9)
        return self._heard.reached(int(poll.row[at]), int(before[at]), lasted, int(poll.place[at]))

    def _tell(self, one: _Silence, moment: int | None, usual: float, say: Say) -> None:
        """Raised at this moment, if it is not open; then updated as often as it has doubled since."""
        columns, row = self.columns, one.row
        if moment is not None:
            columns["said"][row] = (moment - one.since) / 1e9
            self._say(one, "raised", moment, self._text(row, moment - one.since, usual), say)
        said = float(columns["said"][row])
        while 0 < 2 * said < one.silent / 1e9:
            before, said = said, 2 * said
            moment = one.since + round(said * 1e9)
            text = f"{self._text(row, moment - one.since, usual)}; {duration(round(before * 1e9))} when last said"
            self._say(one, "updated", moment, text, say)
        columns["open"][row], columns["said"][row] = True, said

    @staticmethod
    def _say(one: _Silence, event: Literal["raised", "updated"], at: int, text: str, say: Say) -> None:
        score = (at - one.since) / 1e9
        say(Finding(one.place, one.row, event, "alarm", text, score, first=one.last, at=at))

    def _text(self, row: int, silent: int, usual: float) -> str:
        if self.settings["learned"][row]:
            return f"silent for {duration(silent)}, usually a reading every {duration(round(usual * 1e9))}"
        allowed = duration(round(float(self.settings["after"][row]) * 1e9))
        return f"silent for {duration(silent)}; {allowed} are allowed"
