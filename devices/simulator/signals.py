"""What a sensor would show if nothing went wrong: values as pure functions of time, added up from simple parts.

Sum((Constant(21), Daily(4, peak=15), Noise(0.1)))

A part is a description that many sensors share; what differs between two of them comes from the key they are asked with.
"""

import math
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from devices.simulator import chance

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY

_MOST: Final = 1e12
_MONDAY: Final = 4 * DAY
"""Seconds from 1970, which began on a Thursday, to the first Monday."""

_MICROSECONDS: Final = 1e6
"""Two times within the same one share their noise."""

Value = Annotated[float, Meta(ge=-_MOST, le=_MOST)]
Size = Annotated[float, Meta(ge=0, le=_MOST)]
Seconds = Annotated[float, Meta(ge=1e-3, le=1e9)]
Phase = Annotated[float, Meta(ge=-_MOST, le=_MOST)]


class Bounds(NamedTuple):
    """No value is below `low` or above `high`, at any time and with any key."""

    low: float
    high: float


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=str.lower):
    """A value at every time. Subclasses hold their parameters and no state.

    In the configuration each is a table with its name as `kind`.
    """

    def value_at(self, t: float, key: int) -> float:
        """The value `t` seconds after 1970 UTC. Pure: the same `t` and `key` give the same value, in any order."""
        raise NotImplementedError

    def bounds(self) -> Bounds:
        """The range of its values."""
        raise NotImplementedError

    def unrest(self) -> float:
        """How far it strays within an hour: its standard deviation then, or about that. A spike is far more."""
        return 0.0


class Constant(Signal, frozen=True):
    """`level`; on another device up to `spread` away from it."""

    level: Value
    spread: Size = 0.0

    def value_at(self, t: float, key: int) -> float:  # noqa: ARG002 - that is what makes it constant
        """See Signal."""
        if not self.spread:
            return self.level
        return self.level + self.spread * (2 * chance.uniform(key, 0) - 1)

    def bounds(self) -> Bounds:
        """See Signal."""
        return Bounds(self.level - self.spread, self.level + self.spread)


class _Swing(Signal, frozen=True):
    """Between -amplitude and +amplitude."""

    amplitude: Size

    def bounds(self) -> Bounds:
        """See Signal."""
        return Bounds(-self.amplitude, self.amplitude)


class Sine(_Swing, frozen=True):
    """Once around in `period` seconds; rises through 0 at `phase` seconds."""

    period: Seconds
    phase: Phase = 0.0

    def value_at(self, t: float, key: int) -> float:  # noqa: ARG002 - alike on all devices, as those below
        """See Signal."""
        return self.amplitude * math.sin(math.tau * (t - self.phase) / self.period)

    def unrest(self) -> float:
        """See Signal."""
        return self.amplitude * math.sqrt(0.5) if self.period <= HOUR else 0.0


class Square(_Swing, frozen=True):
    """+amplitude for the share `duty` of each `period` seconds, which begins at `phase` seconds; then -amplitude."""

    period: Seconds
    duty: Annotated[float, Meta(ge=0, le=1)] = 0.5
    phase: Phase = 0.0

    def value_at(self, t: float, key: int) -> float:  # noqa: ARG002
        """See Signal."""
        on = (t - self.phase) % self.period < self.duty * self.period
        return self.amplitude if on else -self.amplitude

    def unrest(self) -> float:
        """See Signal."""
        return self.amplitude


class Daily(_Swing, frozen=True):
    """Highest at `peak` o'clock UTC and lowest twelve hours later."""

    peak: Annotated[float, Meta(ge=0, le=24)] = 15.0

    def value_at(self, t: float, key: int) -> float:  # noqa: ARG002
        """See Signal."""
        return self.amplitude * math.cos(math.tau * (t - self.peak * HOUR) / DAY)


class Weekly(_Swing, frozen=True):
    """+amplitude from Monday to Friday, -amplitude at the weekend, UTC; takes `ramp` seconds from one to the other."""

    ramp: Annotated[float, Meta(ge=1, le=DAY)] = HOUR

    def value_at(self, t: float, key: int) -> float:  # noqa: ARG002
        """See Signal."""
        into = (t - _MONDAY) % WEEK
        weekend = into - 5 * DAY
        ramped = min(1.0, (into if weekend < 0 else weekend) / self.ramp)
        return self.amplitude * (2 * ramped - 1) * (1 if weekend < 0 else -1)


class Walk(_Swing, frozen=True):
    """Strays at random, smoothly, never farther than `amplitude` from 0, to which it keeps coming back.

    Its longest wanderings take about `period` seconds, and it has ever smaller ones down to a 64th of that: chance
    fixes points at regular times, on four scales, and the value runs from point to point.
    """

    period: Seconds = HOUR

    def value_at(self, t: float, key: int) -> float:
        """See Signal."""
        value, scale, weight = 0.0, t / self.period, _HEAVIEST
        for octave in range(_OCTAVES):
            place = math.floor(scale)
            along = scale - place
            one = chance.uniform(key + octave, place)
            other = chance.uniform(key + octave, place + 1)
            value += weight * (one + (other - one) * along * along * (3 - 2 * along))
            scale, weight = scale * 4, weight / 2
        return self.amplitude * (2 * value - 1)

    def unrest(self) -> float:
        """See Signal."""
        return self.amplitude / 4


_OCTAVES: Final = 4
_HEAVIEST: Final = 1 / sum(0.5**octave for octave in range(_OCTAVES))


class Noise(Signal, frozen=True):
    """Normal noise of standard deviation `sigma`, independent from one time and device to the next."""

    sigma: Size

    def value_at(self, t: float, key: int) -> float:
        """See Signal."""
        return self.sigma * chance.normal(key, int(t * _MICROSECONDS))

    def bounds(self) -> Bounds:
        """See Signal."""
        return Bounds(-chance.FARTHEST * self.sigma, chance.FARTHEST * self.sigma)

    def unrest(self) -> float:
        """See Signal."""
        return self.sigma


class Counter(Signal, frozen=True):
    """Counts up by `rate` a second, and begins at 0 again where real meters do.

    Attributes:
        rate: of its counting.
        wrap: its counting begins again at 0 here, as on a meter of so many digits; each device is somewhere else.
        reset: seconds after which it begins again at 0 whatever it shows, counted from 1970; 0: never.
    """

    rate: Annotated[float, Meta(gt=0, le=1e6)]
    wrap: Annotated[float, Meta(gt=0, le=_MOST)] = 1e6
    reset: Annotated[float, Meta(ge=0, le=1e9)] = 0.0

    def value_at(self, t: float, key: int) -> float:
        """See Signal."""
        if self.reset:
            return self.rate * (t % self.reset) % self.wrap
        return (self.rate * t + self.wrap * chance.uniform(key, 0)) % self.wrap

    def bounds(self) -> Bounds:
        """See Signal."""
        return Bounds(0.0, min(self.wrap, self.rate * self.reset) if self.reset else self.wrap)

    def unrest(self) -> float:
        """What it counts in a minute."""
        return self.rate * 60


Part = Constant | Sine | Daily | Weekly | Walk | Noise | Square | Counter


class Sum(msgspec.Struct, frozen=True):
    """All parts added up, each with a chance of its own. See Signal for its methods."""

    parts: tuple[Part, ...]

    def value_at(self, t: float, key: int) -> float:
        """See Signal."""
        value = 0.0
        for part in self.parts:
            value += part.value_at(t, key)
            key += _APART
        return value

    def bounds(self) -> Bounds:
        """See Signal."""
        ranges = [part.bounds() for part in self.parts]
        return Bounds(sum(one.low for one in ranges), sum(one.high for one in ranges))

    def unrest(self) -> float:
        """See Signal."""
        return math.hypot(*(part.unrest() for part in self.parts))


_APART: Final = 1 << 32
"""Between the keys of two parts: more than a part uses itself."""
