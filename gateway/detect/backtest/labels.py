"""Labels: when something was really wrong, so that a backtest can say what it found, missed and made up."""

import csv
import io
import json
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from gateway.detect.backtest.recorded import RefusedError
from gateway.detect.backtest.table import CLOCK
from gateway.wire import Anomaly

EXPECTED: Final = (
    "expected is a CSV file with the columns `timestamp`, or `start,end`, and `device` or `sensor` if you like, or JSON "
    'such as {"file.csv": [["2026-01-31 08:00", "2026-01-31 09:00"]]}'
)

POINT: Final = 600_000_000_000
"""A label that is a point in time is found within so many nanoseconds from it on."""


class Window(msgspec.Struct):
    """From when to when something was wrong; of which sensor, if that is told.

    Attributes:
        where: in the file of labels.
        found: when something was first said within it.
    """

    start: int
    end: int
    device: str = ""
    sensor: str = ""
    where: str = ""
    found: int | None = None

    def covers(self, anomaly: Anomaly) -> bool:
        """Whether this event is about it."""
        return (
            self.start <= anomaly.time <= self.end
            and self.device in {"", anomaly.device}
            and self.sensor in {"", anomaly.sensor}
        )

    def whose(self) -> str:
        """The sensor that it names, for people."""
        return " ".join(
            f"{word} {name!r}" for word, name in (("device", self.device), ("sensor", self.sensor)) if name
        )


class Verdict(msgspec.Struct, frozen=True):
    """What the labels say to what was flagged.

    Attributes:
        found, missed: windows.
        false_events: anomalies that were raised outside of all windows; per_day: for each day of a sensor.
        delay: median seconds from the beginning of a window to the first event in it.
        strangers: windows that name a device or sensor of which nothing was judged, as people say it.
    """

    found: int
    missed: list[tuple[int, int]]
    false_events: int
    per_day: float | None
    delay: float | None
    strangers: list[str]


class Labels:
    """Windows, and what is said in and outside of them."""

    def __init__(self, windows: list[Window]) -> None:
        self.windows = sorted(windows, key=lambda one: one.start)
        self._starts = [one.start for one in self.windows]
        longest = max((one.end - one.start for one in self.windows), default=0)
        self._longest = longest
        self._false = 0

    def take(self, anomaly: Anomaly) -> None:
        """An event: what raises an anomaly, or says that it got worse, finds the windows it falls into."""
        if anomaly.event not in {"raised", "updated"}:
            return
        first = bisect_right(self._starts, anomaly.time - self._longest - 1)
        last = bisect_right(self._starts, anomaly.time)
        hit = False
        for window in self.windows[first:last]:
            if window.covers(anomaly):
                hit = True
                window.found = anomaly.time if window.found is None else min(window.found, anomaly.time)
        self._false += anomaly.event == "raised" and not hit

    def verdict(self, days: float, sensors: Iterable[tuple[str, str]]) -> Verdict:
        """What came of it, in so many days of these sensors."""
        known = {
            name
            for device, sensor in sensors
            for name in ((device, sensor), (device, ""), ("", sensor), ("", ""))
        }
        strangers = [
            f"{one.where}: {one.whose()}" for one in self.windows if (one.device, one.sensor) not in known
        ]
        delays = [(one.found - one.start) / 1e9 for one in self.windows if one.found is not None]
        missed = [(one.start, one.end) for one in self.windows if one.found is None]
        rate = self._false / days if days > 0 else None
        return Verdict(len(delays), missed, self._false, rate, median(delays) if delays else None, strangers)


def load_labels(path: Path, recording: str) -> Labels:
    """The labels in a file; of JSON those of the file that `recording` is.

    Raises:
        RefusedError: see there.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise RefusedError(f"{path}: cannot be read: {reason}; {EXPECTED}") from None
    if text.lstrip().startswith(("{", "[")):
        return Labels(_of_json(path, text, recording))
    return Labels(_of_csv(path, text))


def _of_json(path: Path, text: str, recording: str) -> list[Window]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{path}: is no JSON: {error}; {EXPECTED}") from None
    if not isinstance(table, dict):
        raise RefusedError(f"{path}: is no JSON object with a list of windows for each file; {EXPECTED}")
    parts = Path(recording).parts
    names = [one for one in table if Path(one).parts and parts[-len(Path(one).parts) :] == Path(one).parts]
    # Several folders may have a file of this name, and the one that is named in most detail is meant.
    name = max(names, key=lambda one: len(Path(one).parts), default=None)
    if name is None:
        name = next((one for one in table if parts and Path(one).name == parts[-1]), None)
    if name is None:
        raise RefusedError(f"{path}: has no labels for {recording}; {EXPECTED}")
    windows = table[name]
    if not isinstance(windows, list) or not all(isinstance(one, list) and len(one) == 2 for one in windows):  # noqa: PLR2004 - from, to
        raise RefusedError(f"{path}: the labels of {name!r} are no list of windows; {EXPECTED}")
    return [_window(path, f"window {place} of {name!r}", *one) for place, one in enumerate(windows, 1)]


def _of_csv(path: Path, text: str) -> list[Window]:
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader if any(one.strip() for one in row)]
    except csv.Error as error:
        raise RefusedError(f"{path}: line {reader.line_num}: is no CSV: {error}; {EXPECTED}") from None
    header = rows[0][1] if rows else []
    names = {one.strip().lower(): place for place, one in enumerate(header)}
    first, last = ("timestamp", "timestamp") if "timestamp" in names else ("start", "end")
    for name in (first, last):
        if name not in names:
            raise RefusedError(f"{path}: has no column `{name}` in its first line; {EXPECTED}")
    if len(rows) == 1:
        raise RefusedError(f"{path}: has no label behind its first line; {EXPECTED}")
    windows = []
    for line, row in rows[1:]:
        start, end, device, sensor = (
            row[names[name]].strip() if name in names and names[name] < len(row) else ""
            for name in (first, last, "device", "sensor")
        )
        window = _window(path, f"line {line}", start, end)
        window.end += POINT if first == last else 0
        window.device, window.sensor = device, sensor
        windows.append(window)
    return windows


def _window(path: Path, where: str, start: Any, end: Any) -> Window:
    window = Window(_time(path, where, start), _time(path, where, end), where=where)
    if window.end < window.start:
        raise RefusedError(f"{path}: {where}: its end {end!r} is before its start {start!r}; {EXPECTED}")
    return window


def _time(path: Path, where: str, stamp: Any) -> int:
    time = CLOCK.read(stamp.strip() if isinstance(stamp, str) else stamp)
    if time is None:
        raise RefusedError(f"{path}: {where}: {stamp!r} is no time from 2000 to 2099; {EXPECTED}")
    return time
