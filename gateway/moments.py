"""Points in time as people give them to a command, and as they are shown to them."""

import argparse
import datetime as dt
import re
import time
from typing import Final

from devices.decoders.times import Clock

SPANS: Final = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}

_NUMBER: Final = Clock(chosen=True)


def point(text: str, zone: dt.tzinfo | None = None) -> int:
    """A point in time, or how long ago it is; in nanoseconds since 1970 UTC. Without a zone it is of `zone`; None: local.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if span := re.fullmatch(r"([0-9]{1,9})(s|min|m|h|d)", text.strip()):
        return time.time_ns() - int(span[1]) * SPANS[span[2]] * 1_000_000_000
    try:
        when = dt.datetime.fromisoformat(text.strip())
        when = when.replace(tzinfo=zone) if zone is not None and when.tzinfo is None else when.astimezone()
        return round(when.timestamp()) * 1_000_000_000
    except (ValueError, OverflowError):
        number = _NUMBER.read(text)
    if number is None:
        example = f"2026-01-31T08:00{'' if zone is None else ' (UTC)'}"
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write how long ago, such as 12h, or a date with a time, such as {example}"
        )
    return number


def moment(nanoseconds: int) -> str:
    """A point in time as the clock on the wall shows it."""
    try:
        return (
            dt.datetime.fromtimestamp(nanoseconds // 1_000_000_000, tz=dt.UTC)
            .astimezone()
            .strftime("%Y-%m-%d %H:%M:%S")
        )
    except (ValueError, OverflowError, OSError):
        return f"{nanoseconds} ns"
