"""Points in time as devices tell them."""

import datetime as dt
from typing import Final

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_SECOND: Final = 10**9  # in nanoseconds, as all times here
_YEAR_2000, _YEAR_2100 = 946_684_800 * _SECOND, 4_102_444_800 * _SECOND
_SCALES: Final = (_SECOND, 10**6, 10**3, 1)
_LONGEST: Final = 64


def time_of(stamp: float | str) -> int | None:
    """The point in time that a device means, in nanoseconds since 1970 UTC; None if it is none.

    A number counts seconds, milliseconds, microseconds or nanoseconds since 1970 UTC, whichever makes it a time from
    2000 to 2099; these ranges do not overlap. A text is RFC 3339 with a zone. Anything else names no point in time:
    an uptime, a clock that was never set, a local time without its zone.
    """
    if isinstance(stamp, str):
        return _time_of_text(stamp)
    for scale in _SCALES:
        if _YEAR_2000 <= stamp * scale < _YEAR_2100:
            if isinstance(stamp, int):
                return stamp * scale
            whole = int(stamp)
            # A double holds about a millionth of today's seconds: the digits below are noise, not time.
            return whole * scale + round((stamp - whole) * 10**6) * scale // 10**6
    return None


def _time_of_text(stamp: str) -> int | None:
    if len(stamp) > _LONGEST:
        return None
    try:
        point = dt.datetime.fromisoformat(stamp.strip().upper())
    except ValueError:
        return None
    if point.tzinfo is None:
        return None
    time = (point - _EPOCH) // _MICROSECOND * 1000
    return time if _YEAR_2000 <= time < _YEAR_2100 else None
