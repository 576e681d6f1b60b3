"""The rule `limits`: a value outside the range that somebody configured. Works from the first reading."""

from typing import Final, Literal

from gateway.detect.config import Limit
from gateway.detect.events import Finding, type_of_grade
from gateway.detect.text import duration, quantity
from gateway.wire import Reading


class Bound:
    """One side of a range, high or low.

    Raised beyond the limit, updated whenever it is twice as far beyond as when last said (and by the hysteresis
    at least), cleared when back inside by the hysteresis. The score is the distance beyond the limit, in the unit
    of the sensor.
    """

    __slots__ = ("_limit", "_low_high", "_mark", "_said", "_side", "_step", "_worst", "first")
    name: Final = "limits"
    grade: Final[type_of_grade] = "alarm"

    def __init__(self, settings: Limit, side: Literal["high", "low"], limit: float) -> None:
        self.first: Reading | None = None
        self._side = side
        self._limit = limit
        self._low_high = settings.low, settings.high
        self._step = settings.width()
        self._mark = limit - self._step if side == "high" else limit + self._step
        self._said = self._worst = limit

    def judge(self, reading: Reading, value: float, elapsed: float) -> Finding | None:  # noqa: ARG002 - of the port
        """See gateway.detect.events.Rule."""
        if self.first is None:
            if not self._beyond(value, self._limit):
                return None
            self.first = reading
            self._said = self._worst = value
            return self._finding("raised", self.first, value, self._outside(value, reading.unit))
        if self._beyond(value, self._worst):
            self._worst = value
        if not self._beyond(value, self._mark):
            first, self.first = self.first, None
            return self._finding("cleared", first, value, self._back(value, reading, first))
        said = abs(self._said - self._limit)
        if self._beyond(value, self._limit) and abs(value - self._limit) >= max(2 * said, said + self._step):
            before, self._said = self._said, value
            sentence = (
                f"{self._outside(value, reading.unit)}; {quantity(before, reading.unit)} when last said"
            )
            return self._finding("updated", self.first, value, sentence)
        return None

    def _beyond(self, value: float, mark: float) -> bool:
        return value > mark if self._side == "high" else value < mark

    def _outside(self, value: float, unit: str) -> str:
        relation = "above" if self._side == "high" else "below"
        limit = quantity(self._limit, unit, value)
        return f"{quantity(value, unit, self._limit)} is {relation} the {self._side} limit {limit}"

    def _back(self, value: float, reading: Reading, first: Reading) -> str:
        unit = reading.unit
        relation, extreme = ("below", "highest") if self._side == "high" else ("above", "lowest")
        inside = "" if value == self._mark else f" {relation} {quantity(self._mark, unit, value)}"
        lasted = duration(reading.time - first.time)
        return f"back at {quantity(value, unit, self._mark)}{inside} after {lasted}; {extreme} {quantity(self._worst, unit)}"

    def _finding(
        self, event: Literal["raised", "updated", "cleared"], first: Reading, value: float, sentence: str
    ) -> Finding:
        score = abs(value - self._limit) if self._beyond(value, self._limit) else 0.0
        return Finding(event, first, sentence, score, *self._low_high)


def bounds(settings: Limit) -> list[Bound]:
    """The sides that `settings` has."""
    sides: tuple[tuple[Literal["high", "low"], float | None], ...] = (
        ("high", settings.high),
        ("low", settings.low),
    )
    return [Bound(settings, side, limit) for side, limit in sides if limit is not None]
