"""What a sensor has been doing of late: its mean and its scale, robust against the odd reading."""

import math
from statistics import median
from typing import Final

_CLIP: Final = 6.0
"""A reading farther off than this many scales teaches no more than one that is this far off."""

_SPREAD_MEMORY: Final = 20
"""The long-run deviation remembers this many times longer than the mean."""

LARGEST: Final = 1e150
_SMALLEST: Final = 1e-150
"""Between these, squares stay finite and so do quotients."""


class Baseline:
    """Exponentially weighted mean and deviation; starts from the median of `warm_up` readings.

    The caller passes values between -LARGEST and LARGEST.

    The scale never falls below the resolution that the readings are written with, a millionth of the mean (what
    single-precision devices and unit conversions leave of a constant), and 1 % of the long-run deviation of the
    mean: without such floors a constant sensor is infinitely many sigmas off at its first change.

    Attributes:
        ready: whether warm-up is over; before that, mean and scale mean nothing.
        mean, scale: in the unit of the sensor.
    """

    __slots__ = (
        "_alpha_cap",
        "_count",
        "_long_mean",
        "_long_variance",
        "_resolution",
        "_start",
        "_tau",
        "_variance",
        "_warm_up",
        "mean",
        "ready",
        "scale",
    )

    def __init__(self, warm_up: int, tau: float) -> None:
        self.ready = False
        self.mean = 0.0
        self.scale = 1.0
        self._warm_up = warm_up
        self._tau = tau
        self._alpha_cap = 1 / warm_up
        self._start: list[float] = []
        self._resolution = math.inf
        self._count = 0
        self._variance = self._long_mean = self._long_variance = 0.0

    def score(self, value: float) -> float:
        """How many scales `value` is from the mean."""
        return abs(value - self.mean) / self.scale

    def learn(self, value: float, elapsed: float) -> None:
        """Take in a value that came `elapsed` seconds after the one before."""
        if not self.ready:
            self._resolution = min(self._resolution, _resolution(float(value)))
            self._start.append(value)
            if len(self._start) == self._warm_up:
                self._settle()
            return
        self._count += 1
        # However long the gap and however slow the sensor, one reading weighs no more than one of a warm-up.
        alpha = min(-math.expm1(-elapsed / self._tau), self._alpha_cap)
        if alpha * self._count < 1:
            alpha = 1 / self._count
        residual = value - self.mean
        clip = _CLIP * self.scale
        if abs(residual) > clip:
            residual = math.copysign(clip, residual)
        self.mean += alpha * residual
        self._variance += alpha * (residual * residual - self._variance)
        beta = alpha / _SPREAD_MEMORY
        drift = self.mean - self._long_mean
        self._long_mean += beta * drift
        self._long_variance += beta * (drift * drift - self._long_variance)
        deviation = math.sqrt(self._variance)
        if deviation < self._resolution:
            self._resolution = min(self._resolution, _resolution(float(value)))
        floor = self._floor()
        self.scale = max(floor, deviation)

    def move_to(self, level: "Baseline") -> None:
        """Go on from the mean and scale of another baseline, remembering the long run of this one."""
        self.mean, self._variance, self._count = level.mean, level._variance, level._count  # noqa: SLF001 - its own kind
        self._resolution = min(self._resolution, level._resolution)  # noqa: SLF001 - its own kind
        self.scale = max(math.sqrt(self._variance), self._floor())

    def _settle(self) -> None:
        self.mean = self._long_mean = median(self._start)
        residuals = [abs(value - self.mean) for value in self._start]
        # 1.4826 medians of absolute residuals are one sigma of Gaussian noise, whatever half of the readings say;
        # the clipped residuals then give the better estimate.
        clip = _CLIP * max(1.4826 * median(residuals), self._floor())
        squares = [min(residual, clip) ** 2 for residual in residuals]
        self._count = len(squares)
        self._variance = sum(squares) / (self._count - 1)
        self.scale = max(math.sqrt(self._variance), self._floor())
        self._start = []
        self.ready = True

    def _floor(self) -> float:
        return max(self._resolution, 1e-6 * abs(self.mean), 0.01 * math.sqrt(self._long_variance), _SMALLEST)


def _resolution(value: float) -> float:
    """What the last digit of `value` is worth in the shortest way to write it: 0.01 for 21.25, 1 for 21."""
    if value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - beyond, doubles have no fractions to lose
        return 1.0
    mantissa, _, exponent = repr(value).partition("e")
    decimals = len(mantissa.partition(".")[2])
    return min(1.0, math.pow(10.0, int(exponent or 0) - decimals))
