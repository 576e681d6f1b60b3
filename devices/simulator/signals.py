"""What a sensor would show if nothing went wrong: values as pure functions of time, added up from simple parts.

Constant(21) + Daily(4, peak=15) + Noise(0.1, seed=7)
"""

import math
from typing import Final

import msgspec

from devices.simulator import chance

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR


class Signal(msgspec.Struct, frozen=True):
    """A value at every time. Subclasses hold their parameters and no state."""

    def value_at(self, t: float) -> float:
        """The value `t` seconds after 1970 UTC. Pure: the same `t` gives the same value, in any order."""
        raise NotImplementedError

    def __add__(self, other: "Signal") -> "Sum":
        return Sum((self, other))


class Constant(Signal, frozen=True):
    """Always `level`."""

    level: float

    def value_at(self, t: float) -> float:  # noqa: ARG002 - that is what makes it constant
        """See Signal."""
        return self.level


class Sine(Signal, frozen=True):
    """Between -amplitude and +amplitude, once around in `period` seconds; rises through 0 at `phase` seconds."""

    amplitude: float
    period: float
    phase: float = 0.0

    def value_at(self, t: float) -> float:
        """See Signal."""
        return self.amplitude * math.sin(math.tau * (t - self.phase) / self.period)


class Daily(Signal, frozen=True):
    """Between -amplitude and +amplitude, highest at `peak` o'clock UTC and lowest twelve hours later."""

    amplitude: float
    peak: float

    def value_at(self, t: float) -> float:
        """See Signal."""
        return self.amplitude * math.cos(math.tau * (t - self.peak * HOUR) / DAY)


class Noise(Signal, frozen=True):
    """Normal noise of standard deviation `sigma`, independent from one time to the next."""

    sigma: float
    seed: int | str

    def value_at(self, t: float) -> float:
        """See Signal."""
        return self.sigma * chance.normal(self.seed, t)


class Sum(Signal, frozen=True):
    """All parts added up."""

    parts: tuple[Signal, ...]

    def value_at(self, t: float) -> float:
        """See Signal."""
        return sum(part.value_at(t) for part in self.parts)
