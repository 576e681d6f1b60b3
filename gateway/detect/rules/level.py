"""What a sensor has been doing of late, its mean and its scale, and what is far from that. Robust against the odd reading."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from gateway.detect.state import Columns, Floats, Ints

SIZE: Final = 60
"""Values that a level begins with, at most."""

CLIP: Final = 6.0
"""A value farther off than this many scales teaches no more than one that is this far off."""

LIGHTEST: Final = 20
"""However slow a sensor, its mean is one of no fewer values than these."""

SPREAD_MEMORY: Final = 20.0
"""The long-run deviation remembers this many times longer than the mean."""

SMALLEST: Final = 1e-150

WARMING, CALM, HOLDING = range(3)
OPEN: Final = 3
"""What is going on: the first values are collected; all is well; an anomaly is not long ago, or the level not yet known
well enough to judge by; an anomaly is open."""

LEVEL: Final = ("mean", "lagged", "variance", "long_mean", "long_variance", "resolution", "scale", "count")
FIELDS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(LEVEL, "f8"),
    "phase": "i8",
    "wanted": "f8",
    "hold": "i8",
    "filled": "i8",
    "values": ("f8", (SIZE,)),
    **dict.fromkeys(("said", "peak", "farthest"), "f8"),
    "since": "i8",
    "calm": "i8",
    "unlearned": "?",
    **dict.fromkeys(
        ("earlier_mean", "earlier_lagged", "earlier_variance", "earlier_resolution", "earlier_count"), "f8"
    ),
}
"""The level; `wanted`, the score that raises an anomaly; `hold`, values until that is the threshold again; `values`, the
first ones, or those since an anomaly was raised, which may become a new level; the anomaly, `unlearned` if a person called it
a real fault; and the level before a new one was accepted."""


class Level:
    """Exponentially weighted mean and deviation of each row; starts from the median of the first values.

    The caller passes values between -LARGEST and LARGEST. The scale never falls below the resolution that the readings
    are written with, a millionth of the mean (what single-precision devices and unit conversions leave of a constant), and
    1 % of the long-run deviation of the mean: without such floors a constant sensor is infinitely many sigmas off at its
    first change.

    A mean of the past lags behind a sensor that rises or falls, and a mean of such means by twice as much: so `centre` is
    where a sensor that goes on as it does is expected.

    Holds the numbers of a group of rows while samples are judged; `store` puts them back.
    """

    __slots__ = (
        "columns",
        "count",
        "lagged",
        "long_mean",
        "long_variance",
        "mean",
        "phase",
        "resolution",
        "rows",
        "scale",
        "variance",
        "wanted",
    )

    def __init__(self, columns: Columns, rows: Ints) -> None:
        self.columns, self.rows = columns, rows
        (
            self.mean,
            self.lagged,
            self.variance,
            self.long_mean,
            self.long_variance,
            self.resolution,
            self.scale,
            self.count,
        ) = (columns[name][rows] for name in LEVEL)
        self.phase, self.wanted = columns["phase"][rows], columns["wanted"][rows]

    def store(self) -> None:
        """Put the numbers back where they came from."""
        for name in (*LEVEL, "phase", "wanted"):
            self.columns[name][self.rows] = getattr(self, name)

    def centre(self, at: slice | Ints) -> Floats:
        """Where a value is expected."""
        return np.asarray(2 * self.mean[at] - self.lagged[at])

    def learn(self, at: slice | Ints, value: Floats, centre: Floats, residual: Floats, alpha: Floats) -> None:
        """Take in a value of each row in `at`; alpha is its weight for the time that has passed."""
        self.count[at] += 1
        alpha = np.maximum(alpha, 1 / self.count[at])
        clip = CLIP * self.scale[at]
        residual = np.minimum(np.maximum(residual, -clip), clip)
        mean, lagged = self.mean[at], self.lagged[at]
        mean = mean + alpha * (centre + residual - mean)
        self.lagged[at] = lagged + alpha * (mean - lagged)
        variance = self.variance[at]
        variance = variance + np.minimum(alpha, 1 / SIZE) * (residual * residual - variance)
        beta = alpha / SPREAD_MEMORY
        drift = mean - self.long_mean[at]
        spread = self.long_variance[at]
        self.long_variance[at] = spread = spread + beta * (drift * drift - spread)
        self.long_mean[at] += beta * drift
        self.mean[at], self.variance[at] = mean, variance
        deviation = np.sqrt(variance)
        resolution = self.resolution[at]
        coarse = deviation < resolution
        if np.count_nonzero(coarse):
            resolution[coarse] = np.minimum(resolution[coarse], worth(value[coarse]))
            self.resolution[at] = resolution
        self.scale[at] = np.maximum(deviation, floor(resolution, mean, spread))

    def settle(self, at: Ints, size: int, *, move: bool) -> None:
        """Begin from the `size` values collected of each row in `at`; `move` keeps the memory of the long run."""
        rows = self.rows[at]
        values = self.columns["values"][rows, :size]
        resolution = worth(values.ravel()).reshape(values.shape).min(axis=1)
        self.resolution[at] = np.minimum(self.resolution[at], resolution) if move else resolution
        mean = _median(values)
        if not move:
            self.long_mean[at] = mean
            self.long_variance[at] = 0.0
        residuals = np.abs(values - mean[:, None])
        least = floor(self.resolution[at], mean, self.long_variance[at])
        # 1.4826 medians of absolute residuals are one sigma of Gaussian noise, whatever half of the readings say;
        # the clipped residuals then give the better estimate.
        clip = CLIP * np.maximum(1.4826 * _median(residuals), floor(resolution, mean, np.zeros(len(at))))
        squares = np.minimum(residuals, clip[:, None])
        squares *= squares
        self.mean[at] = self.lagged[at] = mean
        self.variance[at] = np.add.accumulate(squares, axis=1)[:, -1] / (size - 1)
        self.count[at] = size
        self.scale[at] = np.maximum(np.sqrt(self.variance[at]), least)


def floor(resolution: Floats, mean: Floats, long_variance: Floats) -> Floats:
    """The least scale."""
    return np.maximum(
        np.maximum(resolution, SMALLEST), np.maximum(1e-6 * np.abs(mean), 0.01 * np.sqrt(long_variance))
    )


_POWERS: Final = np.array([float(f"1e{digits}") for digits in range(23)])
_WORTHS: Final = np.array([float(f"1e-{digits}") for digits in range(23)])


def worth(values: Floats) -> Floats:
    """What the last digit of each value is worth in the shortest way to write it: 0.01 for 21.25, 1 for 21 and for 20.

    A number that needs more than 22 decimals is worth what doubles can tell apart.
    """
    decimals = decimals_of(values)
    return np.where(decimals < 0, np.abs(values) * 2.0**-52, _WORTHS[decimals])


def rounded(values: Floats, decimals: Ints) -> Floats:
    """Each value with so many decimals; as it is if that is negative."""
    power = _POWERS[decimals]
    return np.where(decimals < 0, values, np.rint(values * power) / power)


def decimals_of(values: Floats) -> Ints:
    """How many decimals each value needs; -1 if more than 22."""
    found = np.full(len(values), -1)
    rest = np.arange(len(values))
    for decimals, power in enumerate(_POWERS):
        left = values[rest]
        exact = np.rint(left * power) / power == left
        found[rest[exact]] = decimals
        rest = rest[~exact]
        if not len(rest):
            break
    return found


def _median(values: Floats) -> Floats:
    """Of each row."""
    ordered = np.sort(values, axis=1)
    size = ordered.shape[1]
    return (ordered[:, (size - 1) // 2] + ordered[:, size // 2]) / 2
