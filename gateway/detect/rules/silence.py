"""The rule `silence`: a sensor that says nothing for far longer than usual, while its gateway goes on."""

from collections.abc import Callable
from typing import Final, Literal

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


class Silence:
    """No reading for far longer than usual, or for longer than somebody allows.

    Usual is learned: five times the median interval, three times its 99th percentile, and a minute.

    Goes by the clock of the gateway, as it stamps what it receives. Time in which nothing at all came from the gateway, for
    half as long or longer, counts for none of its sensors. Where a gap shows only when the next reading comes, the anomaly is raised and cleared
    at that one. Updated when silent twice as long as when last said. The score is the silence in seconds.
    """

    slot: Final = "silence"
    name: Final = "silence"

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
        raised = [at for at in np.flatnonzero(gap > bound).tolist() if self._alone(poll, at, before, bound)]
        back = poll.first[columns["open"][poll.row[poll.first]]].tolist()
        for at in sorted({*raised, *back}):
            row, reading, place = int(poll.row[at]), poll.reading(at), int(poll.place[at])
            silent = 0 if was_set[at] else max(0, int(poll.received[at]) - int(before[at]))
            if not columns["open"][row]:
                text = self._text(row, silent, float(usual[at]))
                say(Finding(place, row, "raised", "alarm", text, silent / 1e9, first=poll.previous(at)))
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
            is_open = bool(columns["open"][row])
            if not is_open and self._heard.present(row, since, until, bound[at] / 2) / 1e9 <= bound[at]:
                continue
            text = self._text(row, until - since, float(columns["usual"][row]))
            if is_open:
                text += f"; {duration(round(float(columns['said'][row]) * 1e9))} when last said"
            columns["open"][row], columns["said"][row] = True, silent[at]
            event: Literal["raised", "updated"] = "updated" if is_open else "raised"
            score = float(silent[at])
            say(Finding(-1, row, event, "alarm", text, score, first=last(row), at=until))

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

    def _alone(self, poll: Poll, at: int, before: Ints, bound: Floats) -> bool:
        """Whether it was silent for so long while its gateway was not."""
        since, until, least = int(before[at]), int(poll.received[at]), float(bound[at])
        away = self._heard.away(int(poll.row[at]), since, until, least / 2, int(poll.place[at]))
        return (until - since - away) / 1e9 > least

    def _text(self, row: int, silent: int, usual: float) -> str:
        if self.settings["learned"][row]:
            return f"silent for {duration(silent)}, usually a reading every {duration(round(usual * 1e9))}"
        allowed = duration(round(float(self.settings["after"][row]) * 1e9))
        return f"silent for {duration(silent)}; {allowed} are allowed"
