"""Points in time as devices tell them."""

import datetime as dt
import re
import zoneinfo
from typing import Any, Final

import msgspec

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_SECOND: Final = 10**9  # in nanoseconds, as all times here
_YEAR_2000, _YEAR_2100 = 946_684_800 * _SECOND, 4_102_444_800 * _SECOND
_SCALES: Final = (_SECOND, 10**6, 10**3, 1)
_LONGEST: Final = 64
_OFFSET: Final = re.compile(r"([+-])([01][0-9]|2[0-3]):([0-5][0-9])")
_ZONE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}")
_DIGITS: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_STAMPS: Final = (str, int, float)


def time_of(stamp: float | str, zone: dt.tzinfo | None = None) -> int | None:
    """The point in time that a device means, in nanoseconds since 1970 UTC; None if it is none.

    A number counts seconds, milliseconds, microseconds or nanoseconds since 1970 UTC, whichever makes it a time from
    2000 to 2099; these ranges do not overlap. A text is ISO 8601 as RFC 3339 narrows it; one without a zone is local
    time in `zone`. Anything else names no point in time: an uptime, a clock that was never set, a local time where
    no zone is known.
    """
    if isinstance(stamp, str):
        return _time_of_text(stamp, zone)
    for scale in _SCALES:
        if _YEAR_2000 <= stamp * scale < _YEAR_2100:
            if isinstance(stamp, int):
                return stamp * scale
            whole = int(stamp)
            # A double holds about a millionth of today's seconds: the digits below are noise, not time.
            return whole * scale + round((stamp - whole) * 10**6) * scale // 10**6
    return None


def zone_of(text: str) -> dt.tzinfo:
    """The zone that a setting names: `UTC`, `+02:00`, `Europe/Berlin`.

    Raises:
        ValueError: no such zone; the text says what is allowed, as the end of a sentence.
    """
    if offset := _OFFSET.fullmatch(text):
        minutes = int(offset[2]) * 60 + int(offset[3])
        return dt.timezone(dt.timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    if text == "UTC":
        return dt.UTC
    try:
        if _ZONE_NAME.fullmatch(text):
            return zoneinfo.ZoneInfo(text)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        pass
    raise ValueError(
        f"{text!r} is no time zone of this machine; allowed: UTC, an offset such as +02:00, or a name such as "
        "Europe/Berlin (the package tzdata has the names)"
    )


class Clock(msgspec.Struct, frozen=True):
    """Which members of a payload tell the time, and how.

    Attributes:
        keys: names of the members; of several the first that is a point in time counts.
        joined: there are two keys, of a date and of a time of day, which make one text.
        zone: of texts without one; None: they name no point in time.
        chosen: a person named the keys, so that digits in a text count as a number too.
    """

    keys: tuple[str, ...] = ("time", "timestamp", "ts", "Time")
    joined: bool = False
    zone: dt.tzinfo | None = None
    chosen: bool = False

    def join(self, members: dict[str, Any]) -> int | None:
        """The point in time that date and time of day tell together; None if they do not."""
        date, clock = (members.get(key) for key in self.keys)
        return self.read(f"{date}T{clock}") if type(date) is type(clock) is str else None

    def read(self, stamp: Any) -> int | None:
        """The point in time that one value tells; None if it is none."""
        if type(stamp) not in _STAMPS:
            return None
        if self.chosen and type(stamp) is str and _DIGITS.fullmatch(stamp.strip()):
            stamp = float(stamp) if "." in stamp else int(stamp)
        return time_of(stamp, self.zone)


def _time_of_text(stamp: str, zone: dt.tzinfo | None) -> int | None:
    if len(stamp) > _LONGEST:
        return None
    try:
        point = dt.datetime.fromisoformat(stamp.strip().upper())
        if point.tzinfo is None:
            if zone is None:
                return None
            point = point.replace(tzinfo=zone)
        time = (point - _EPOCH) // _MICROSECOND * 1000
    except (ValueError, OverflowError):
        return None
    return time if _YEAR_2000 <= time < _YEAR_2100 else None
