"""The rule `spike`: a sudden jump away from what a sensor has been doing."""

from typing import Final

from gateway.detect import config
from gateway.detect.baseline import LARGEST, Baseline
from gateway.detect.events import Finding, type_of_event, type_of_grade
from gateway.detect.text import duration, quantity, sigmas, spread
from gateway.wire import Reading

_CALM_READINGS: Final = 3
"""So many in a row within half the threshold, and the sensor is back."""

_HOLD_OFF: Final = 60
"""Readings after an anomaly in which only one twice as far off as that one is raised."""


class Spike:
    """Raised at `threshold` sigma, updated whenever twice as far off as when last said.

    While an anomaly is open its readings teach the baseline nothing; they make up a level of their own. It is
    cleared when the sensor is back (see _CALM_READINGS), or when as many readings as a warm-up takes have come
    since: their level is then accepted as the new one. So no anomaly of this rule outlasts a warm-up.
    The score is in sigma. Numbers beyond LARGEST are no measurements and are not judged.
    """

    __slots__ = (
        "_baseline",
        "_calm",
        "_farthest",
        "_hold_off",
        "_level",
        "_peak",
        "_said",
        "_settings",
        "_threshold",
        "first",
    )
    name: Final = "spike"
    grade: Final[type_of_grade] = "advisory"

    def __init__(self, settings: config.Spike) -> None:
        self.first: Reading | None = None
        self._settings = settings
        self._threshold = settings.threshold
        self._baseline = self._new_baseline()
        self._level = self._baseline
        self._calm = 0
        self._hold_off = 0
        self._said = self._peak = 0.0
        self._farthest = 0.0

    def judge(self, reading: Reading, value: float, elapsed: float) -> Finding | None:
        """See gateway.detect.events.Rule."""
        if not -LARGEST < value < LARGEST:
            return None
        baseline = self._baseline
        if not baseline.ready:
            baseline.learn(value, elapsed)
            return None
        score = baseline.score(value)
        if self.first is not None:
            return self._follow(self.first, reading, value, score, elapsed)
        if self._hold_off:
            self._hold_off -= 1
            wanted = max(self._threshold, 2 * self._peak)
        else:
            wanted = self._threshold
        if score < wanted:
            baseline.learn(value, elapsed)
            return None
        self.first = reading
        self._said = self._peak = score
        self._farthest = value
        self._calm = 0
        self._level = self._new_baseline()
        self._level.learn(value, elapsed)
        return self._finding("raised", reading, score, self._outside(reading, value, score))

    def _follow(
        self, first: Reading, reading: Reading, value: float, score: float, elapsed: float
    ) -> Finding | None:
        """Judge a reading while an anomaly is open."""
        self._level.learn(value, elapsed)
        if score > self._peak:
            self._peak, self._farthest = score, value
        self._calm = self._calm + 1 if score < self._threshold / 2 else 0
        if self._calm == _CALM_READINGS:
            finding = self._finding("cleared", first, score, self._back(first, reading, value))
        elif self._level.ready:
            finding = self._finding("cleared", first, score, self._accepted(first, reading))
            self._baseline.move_to(self._level)
        elif score >= 2 * self._said:
            sentence = f"{self._outside(reading, value, score)}; {sigmas(self._said)} when last said"
            self._said = score
            return self._finding("updated", first, score, sentence)
        else:
            return None
        self.first = None
        self._hold_off = _HOLD_OFF
        self._level = self._baseline
        return finding

    def _new_baseline(self) -> Baseline:
        return Baseline(self._settings.warm_up, self._settings.tau)

    def _outside(self, reading: Reading, value: float, score: float) -> str:
        return f"{quantity(value, reading.unit)} is {sigmas(score)} from {self._usual(reading)}"

    def _back(self, first: Reading, reading: Reading, value: float) -> str:
        return (
            f"back at {quantity(value, reading.unit)}, {_CALM_READINGS} readings within "
            f"{self._threshold / 2:g} sigma of {self._usual(reading)}, after {duration(reading.time - first.time)}; "
            f"farthest {quantity(self._farthest, reading.unit)}, {sigmas(self._peak)}"
        )

    def _accepted(self, first: Reading, reading: Reading) -> str:
        level = spread(self._level.mean, self._level.scale, reading.unit)
        return (
            f"accepted as new level: {level} in the {self._settings.warm_up} readings of the last "
            f"{duration(reading.time - first.time)}; was {self._usual(reading)}"
        )

    def _usual(self, reading: Reading) -> str:
        return spread(self._baseline.mean, self._baseline.scale, reading.unit)

    def _finding(self, event: type_of_event, first: Reading, score: float, sentence: str) -> Finding:
        margin = self._threshold * self._baseline.scale
        mean = self._baseline.mean
        return Finding(event, first, sentence, score, mean - margin, mean + margin)
