"""The rule `spike-aggregate`: the mean of a minute jumps, by less than a single reading could show."""

from typing import Final

import numpy as np

from gateway.detect.config import DetectConfig
from gateway.detect.events import Finding, Origin
from gateway.detect.poll import Poll, passed, starts
from gateway.detect.rules.aggregates import Aggregates, Closed
from gateway.detect.rules.jump import Jump, Jumps
from gateway.detect.rules.level import decimals_of, rounded
from gateway.detect.rules.rule import Say
from gateway.detect.rules.spike import Words, finding
from gateway.detect.state import Floats, Ints
from gateway.detect.text import LARGEST, duration, quantity, spread


class SpikeAggregate:
    """The mean of each aggregate (see Aggregates) against the level of such means, see Jumps. The score is in sigma.

    Said with the first reading after the aggregate. The smallest and largest readings need no such rule: each is judged
    by `spike`.
    """

    slot: Final = "spike-aggregate"
    name: Final = "spike-aggregate"
    learns: Final = True

    def __init__(self) -> None:
        self._jumps = Jumps(Aggregates.FIELDS | {"before": "i8"})  # the end of the last aggregate
        self.columns, self.settings = self._jumps.columns, self._jumps.settings
        self._aggregates = Aggregates(self.columns)

    def watch(self, row: int, device: str, sensor: str, config: DetectConfig) -> bool:
        """See Rule."""
        return self._jumps.watch(row, config.spike_aggregate_for(device, sensor))

    def judge(self, poll: Poll, say: Say) -> None:
        """See Rule."""
        element = np.flatnonzero(self.settings["on"][poll.row] & (np.abs(poll.value) < LARGEST))
        if not len(element):
            return
        closed = self._aggregates.gather(poll, element)
        if not len(closed.row):
            return
        mean = rounded(closed.mean, _decimals(closed))
        first = starts(closed.row)
        head, before = closed.row[first], np.empty_like(closed.end)
        before[1:] = closed.end[:-1]
        before[first] = self.columns["before"][head]
        elapsed = passed(closed.end, before)
        self.columns["before"][head] = closed.end[np.append(first[1:], len(before)) - 1]

        def tell(jump: Jump) -> None:
            say(self._finding(poll, closed, mean, jump))

        ratio = self._jumps.judge(closed.row, mean, elapsed, closed.end, tell)
        poll.ratio[closed.element] = np.maximum(poll.ratio[closed.element], ratio)

    def accept(self, row: int) -> str:
        """See Rule."""
        return f"the level is now {spread(*self._jumps.accept(row), '')}"

    def fault(self, row: int) -> str:
        """See Rule."""
        return f"the level is {spread(*self._jumps.fault(row), '')}"

    def close(self, row: int) -> None:
        """See Rule."""
        self._jumps.close(row)

    def _finding(self, poll: Poll, closed: Closed, mean: Floats, jump: Jump) -> Finding:
        which = jump.sample
        at, row, value = int(closed.element[which]), int(closed.row[which]), float(mean[which])
        unit, began, ended = poll.reading(at).unit, int(closed.begin[which]), int(closed.end[which])
        shown = f"{quantity(value, unit)} as the mean of {int(closed.held[which])} readings in {duration(ended - began)}"
        words = Words(shown, unit, ended, "such means")
        first = Origin(poll.spools.id(int(closed.spool[which])), int(closed.seq[which]), began)
        threshold = float(self.settings["threshold"][row])
        said = finding(jump, int(poll.place[at]), row, words, threshold)
        return said._replace(value=value, first=first)


def _decimals(closed: Closed) -> Ints:
    """How many decimals the readings of each aggregate have, by three of them."""
    decimals = np.stack([decimals_of(values) for values in (closed.low, closed.high, closed.last)])
    return np.where((decimals < 0).any(axis=0), -1, decimals.max(axis=0))
