"""Numbers, units and durations as a sentence shows them: rounded for the eye, never so that it becomes untrue."""

import math
from typing import Final

LARGEST: Final = 1e150
"""Numbers beyond this are no measurements; below, squares stay finite and so do quotients."""

_SECOND: Final = 1_000_000_000
_UNIT_LIMIT: Final = 32
_TIMES: Final = 9.995
"""From here on a share of a range is told as so many times its width."""


def quantity(value: float, unit: str, beside: float = math.nan) -> str:
    """`value` with its unit, with as many digits as keep it on its own side of the number `beside` it."""
    return _with_unit(_number(value, beside), unit)


def per_second(rate: float, unit: str, beside: float = math.nan) -> str:
    """`6.2 °C per s`, with four digits, or as many as keep it on its own side of `beside`."""
    shown = float(f"{rate:.4g}")
    same_side = (shown > beside, shown < beside) == (rate > beside, rate < beside)
    return f"{quantity(shown if same_side else rate, unit, beside)} per s"


def spread(mean: float, scale: float, unit: str) -> str:
    """`21.03 ± 0.40 °C`: two digits of the scale, and the mean to the same place."""
    place = 1 - math.floor(math.log10(scale))
    if abs(mean) < 1e15 and -12 <= place <= 12:  # noqa: PLR2004 - beyond, exponents read better
        decimals = max(place, 0)
        return _with_unit(f"{mean:z.{decimals}f} ± {scale:.{decimals}f}", unit)
    return _with_unit(f"{mean:.6g} ± {scale:.2g}", unit)


def sigmas(score: float) -> str:
    """`8.3 sigma`."""
    return f"{score:.1f} sigma" if score < 1e6 else f"{score:.3g} sigma"  # noqa: PLR2004 - the same


def share(part: float) -> str:
    """`49.4 % of it`, `60 times its width`: how large something is beside a range."""
    return f"{_share(part)} of it" if part < _TIMES else f"{_share(part)} its width"


def share_before(part: float) -> str:
    """The same where it was said of what already: `49.4 %`, `60 times`."""
    return _share(part)


def _share(part: float) -> str:
    if part < _TIMES:
        return f"{100 * part:.3g} %"
    return f"{part:.0f} times" if 1000 <= part < 1e6 else f"{part:.3g} times"  # noqa: PLR2004 - beyond, exponents read better


def duration(nanoseconds: int) -> str:
    """`20 ms`, `35 s`, `12 min`, `5 h`, `3 days`, rounded; the larger unit begins where two of it are full."""
    if nanoseconds < 0:
        return "an unknown time (the clock was set back)"
    seconds = nanoseconds / _SECOND
    if nanoseconds == 0:
        return "0 s"
    if seconds < 0.1:  # noqa: PLR2004 - below, tenths show nothing
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else "less than 1 ms"  # noqa: PLR2004
    if seconds < 10:  # noqa: PLR2004 - below ten, tenths matter
        return f"{seconds:.1f} s"
    for unit, size, until in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < until:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`; `many` where it is no s that makes it many."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def _number(value: float, beside: float) -> str:
    if isinstance(value, int):
        return str(value)
    value += 0.0  # no minus zero
    text = f"{value:.10g}"
    shown = float(text)
    same_side = (shown > beside, shown < beside) == (value > beside, value < beside)
    return text if same_side and math.isfinite(shown) else repr(value)


def _with_unit(number: str, unit: str) -> str:
    """A unit comes from a device, so it is only shown if it looks like one."""
    return f"{number} {unit}" if unit and len(unit) <= _UNIT_LIMIT and unit.isprintable() else number
