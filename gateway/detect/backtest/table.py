"""Recorded readings in a CSV file: a header, then a reading a line. Memory is bounded, whatever the file holds."""

import csv
import datetime as dt
import math
from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, Final

from devices.decoders.times import Clock
from devices.reading import is_name
from gateway.detect.backtest.recorded import CHUNK, Bad, Chunk, RefusedError
from gateway.wire import VERSION, Arrival, Reading

EXPECTED: Final = (
    "expected is a CSV file whose first line is `timestamp,value` or `device,sensor,timestamp,value`, in any order, "
    "with a column `unit` if you like"
)

GATEWAY: Final = "recorded"
DEVICE: Final = "recorded"
"""The gateway of all readings in a file, and the device where none is named: then the sensor is named after the file."""

LINE_LIMIT: Final = 65_536
SAMPLE: Final = 65_536
"""Bytes of a line at most; and those that tell how long lines are."""

NAMES: Final = 100_000
"""So many names are remembered to have been looked at."""

SHOWN: Final = 40
"""Characters of a wrong cell that are shown."""

CLOCK: Final = Clock(zone=dt.UTC, chosen=True)
"""Times without a zone are UTC."""


class Table:
    """A CSV file. See Recorded.

    A row is a line that is not blank.
    """

    def __init__(self, path: Path) -> None:
        """Looks at the header.

        Raises:
            RefusedError: see there.
        """
        self.name = str(path)
        self._path = path
        try:
            with path.open("rb") as file:
                number, header = next(_lines(file), (0, None))
                self._first = number
                self._average = _average(file.read(SAMPLE))
            self.total = path.stat().st_size
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise RefusedError(f"{path}: cannot be read: {reason}; {EXPECTED}") from None
        if number == 0:
            raise RefusedError(f"{path}: is empty; {EXPECTED}")
        names = (
            []
            if header is None
            else [one.strip().lower() for one in _cells(header.removeprefix("\ufeff")) or ()]
        )
        for name in ("timestamp", "value"):
            if name not in names:
                raise RefusedError(f"{path}: has no column `{name}` in its first line; {EXPECTED}")
        wanted: list[str] = [
            one for one in ("device", "sensor", "timestamp", "value", "unit") if one in names
        ]
        for name in wanted:
            if names.count(name) > 1:
                raise RefusedError(f"{path}: has two columns `{name}`; {EXPECTED}")
        self._at = {name: names.index(name) for name in wanted}
        self.columns = tuple(one for one in wanted if one != "unit")

    def chunks(self, parts: int, *, cells: bool) -> Iterator[Chunk]:
        """See Recorded."""
        most = max(1, min(CHUNK, int(self.total / self._average / parts)))
        read = _Rows(self._path.stem, self._at)
        try:
            with self._path.open("rb") as file:
                lines = _lines(file)
                for number, _ in lines:
                    if number == self._first:
                        break
                while (chunk := self._chunk(lines, most, read, cells=cells)).rows:
                    yield chunk._replace(done=file.tell())
        except OSError as error:
            raise RefusedError(f"{self.name}: cannot be read: {error.strerror}") from None

    def _chunk(
        self, lines: Iterator[tuple[int, str | None]], most: int, read: "_Rows", *, cells: bool
    ) -> Chunk:
        chunk = Chunk(0, [], most, [], [], [], 0)
        pick = itemgetter(*(self._at[name] for name in self.columns))
        width = 1 + max(self._at.values())
        for place in range(most):
            number, line = next(lines, (0, None))
            if number == 0:
                return chunk._replace(rows=place)
            row = _cells(line) if line is not None else None
            if cells:
                full = row or []
                chunk.cells.append(pick(full if len(full) >= width else full + [""] * (width - len(full))))
            reading = read(number, row) if row is not None else _unreadable(line)
            if isinstance(reading, str):
                chunk.bad.append(Bad(f"line {number}", reading))
            else:
                chunk.arrivals.append(Arrival(number, f"{GATEWAY}/{reading.device}".encode(), reading))
                chunk.places.append(place)
        return chunk


class _Rows:
    """Makes readings of rows."""

    def __init__(self, stem: str, at: dict[str, int]) -> None:
        self._time, self._value = at["timestamp"], at["value"]
        self._unit = at.get("unit", -1)
        self._device, self._sensor = at.get("device", -1), at.get("sensor", -1)
        self._default = stem if is_name(stem) else "recorded"
        self._known: set[tuple[str, str]] = set()
        self._stamp, self._then = "", CLOCK.read("")  # sensors often tell one time

    def __call__(self, number: int, row: Sequence[str]) -> Reading | str:
        """The reading in the row of this number, or why there is none."""
        try:
            stamp, shown = row[self._time], row[self._value]
            device = row[self._device].strip() if self._device >= 0 else DEVICE
            sensor = row[self._sensor].strip() if self._sensor >= 0 else self._default
            unit = row[self._unit].strip() if self._unit >= 0 else ""
        except IndexError:
            return f"has only {len(row)} of the columns"
        if stamp != self._stamp:
            self._stamp, self._then = stamp, CLOCK.read(stamp.strip())
        time = self._then
        if time is None:
            return f"timestamp {_shown(stamp)} is no time from 2000 to 2099"
        try:
            value = float(shown)
        except ValueError:
            return f"value {_shown(shown)} is no number"
        if not math.isfinite(value) or "_" in shown:
            return f"value {_shown(shown)} is no number"
        if (device, sensor) not in self._known:
            for word, name in (("device", device), ("sensor", sensor)):
                if not is_name(name):
                    return f"{word} {_shown(name)} is no name: it is empty, too long or not printable"
            if len(self._known) >= NAMES:
                self._known.clear()
            self._known.add((device, sensor))
        unit = unit if unit.isprintable() else ""
        return Reading(VERSION, GATEWAY, GATEWAY, number, "recorded", device, sensor, time, time, value, unit)


def _lines(file: BinaryIO) -> Iterator[tuple[int, str | None]]:
    """Lines that are not blank, by number from 1, with blanks for stray carriage returns; None for one that is too long."""
    for number, raw in enumerate(iter(partial(file.readline, LINE_LIMIT), b""), 1):
        line: bytes | None = raw
        if len(raw) == LINE_LIMIT and not raw.endswith(b"\n"):
            line = None
            while (more := file.readline(LINE_LIMIT)) and not more.endswith(b"\n"):
                pass
        if line is None:
            yield number, None
        elif not line.isspace():
            # Bytes that are no UTF-8 come out of it as they went in.
            yield number, line.decode("utf-8", "surrogateescape").rstrip("\r\n").replace("\r", " ")


def _cells(line: str) -> list[str] | None:
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line]))
    except (csv.Error, StopIteration):
        return None


def _unreadable(line: str | None) -> str:
    return f"is longer than {LINE_LIMIT} bytes" if line is None else "is no CSV"


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")


def _average(sample: bytes) -> float:
    """Bytes of a line, about."""
    return max(2.0, len(sample) / max(1, sample.count(b"\n")))
