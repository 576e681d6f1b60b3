"""Recordings for the tests of the backtest."""

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path

from detecting import noise

START = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
START_NS = 1_769_817_600 * 10**9


def stamp(seconds: float) -> str:
    """So long after START, as a recording has it."""
    return (START + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def write(path: Path, values: Iterable[float], *, interval: float = 10.0) -> Path:
    """A recording of one sensor."""
    rows = "".join(f"{stamp(place * interval)},{value:.2f}\n" for place, value in enumerate(values))
    path.write_text("timestamp,value\n" + rows, encoding="utf-8")
    return path


def with_spikes(count: int, *places: int) -> list[float]:
    """Noise around 21 with readings of 99 in these places."""
    values = noise(count)
    for place in places:
        values[place] = 99.0
    return values


def write_rows(path: Path, header: str, rows: Sequence[str]) -> Path:
    """A recording of these lines."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path
