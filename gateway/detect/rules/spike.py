"""The rule `spike`: a sudden jump away from what a sensor has been doing."""

from typing import Final, Literal

import numpy as np

from gateway.detect.config import DetectConfig
from gateway.detect.events import Finding
from gateway.detect.poll import Poll
from gateway.detect.rules.jump import CALM_VALUES, Jump, Jumps
from gateway.detect.rules.rule import Say
from gateway.detect.state import Floats, Ints
from gateway.detect.text import LARGEST, duration, quantity, sigmas, spread

_EVENTS: Final[dict[str, Literal["raised", "updated", "cleared"]]] = {
    "raised": "raised",
    "updated": "updated",
    "back": "cleared",
    "accepted": "cleared",
}


class Spike:
    """Each reading against the level of its sensor, see Jumps. The score is in sigma.

    Numbers beyond LARGEST are no measurements and are not judged.
    """

    slot: Final = "spike"
    name: Final = "spike"
    learns: Final = True

    def __init__(self) -> None:
        self._jumps = Jumps()
        self.columns, self.settings = self._jumps.columns, self._jumps.settings

    def watch(self, row: int, device: str, sensor: str, config: DetectConfig) -> bool:
        """See Rule."""
        return self._jumps.watch(row, config.spike_for(device, sensor))

    def judge(self, poll: Poll, say: Say) -> None:
        """See Rule."""
        element = np.flatnonzero(self.settings["on"][poll.row] & (np.abs(poll.value) < LARGEST))
        if not len(element):
            return

        def tell(jump: Jump) -> None:
            at = int(element[jump.sample])
            shown = quantity(poll.shown(at), poll.reading(at).unit)
            words = Words(shown, poll.reading(at).unit, poll.reading(at).time, "readings")
            row = int(poll.row[at])
            say(finding(jump, int(poll.place[at]), row, words, float(self.settings["threshold"][row])))

        row, value, elapsed, time = (
            poll.row[element],
            poll.value[element],
            poll.elapsed[element],
            poll.time[element],
        )
        ratio = self._jumps.judge(row, value, elapsed, time, tell)
        poll.ratio[element] = np.maximum(poll.ratio[element], ratio)

    def expected(self, row: Ints) -> tuple[Floats, Floats]:
        """See Jumps."""
        return self._jumps.expected(row)

    def accept(self, row: int) -> str:
        """See Rule."""
        return f"the level is now {spread(*self._jumps.accept(row), '')}"

    def fault(self, row: int) -> str:
        """See Rule."""
        return f"the level is {spread(*self._jumps.fault(row), '')}"

    def close(self, row: int) -> None:
        """See Rule."""
        self._jumps.close(row)


class Words:
    """How a sentence names values.

    Attributes:
        shown: the value with its unit, and what it is.
        unit: of the sensor.
        time: of the reading.
        values: what values are, in the plural.
    """

    __slots__ = ("shown", "time", "unit", "values")

    def __init__(self, shown: str, unit: str, time: int, values: str) -> None:
        self.shown, self.unit, self.time, self.values = shown, unit, time, values


def finding(
    jump: Jump,
    place: int,
    row: int,
    words: Words,
    threshold: float,
) -> Finding:
    """What to say of a jump."""
    usual = spread(jump.mean, jump.scale, words.unit)
    lasted = duration(words.time - jump.since)
    if jump.kind == "back":
        text = (
            f"back at {words.shown}, {CALM_VALUES} {words.values} within {threshold / 2:g} sigma of {usual}, "
            f"after {lasted}; farthest {quantity(jump.farthest, words.unit)}, {sigmas(jump.peak)}"
        )
    elif jump.kind == "accepted":
        level = spread(jump.level, jump.spread, words.unit)
        which = f"{words.values} of the last {lasted}" if words.time >= jump.since else f"last {words.values}"
        text = f"accepted as new level: {level} in the {jump.values} {which}; was {usual}"
    else:
        text = f"{words.shown} is {sigmas(jump.score)} from {usual}"
        if jump.kind == "updated":
            text += f"; {sigmas(jump.said)} when last said"
    margin = threshold * jump.scale
    return Finding(
        place,
        row,
        _EVENTS[jump.kind],
        "advisory",
        text,
        jump.score,
        jump.mean - margin,
        jump.mean + margin,
    )
