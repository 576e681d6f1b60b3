"""A recorded CSV file: its rows as readings, and when each of them is due."""

import csv
import errno
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from devices.decoders import make_decoder
from devices.errors import DecodeError, SettingError, SourceRefused
from devices.framing.common import Damaged
from devices.framing.line import LineFraming
from devices.reading import NAME_LIMIT, Quality, Reading, is_name
from devices.source import Decode, Origin

PIECE: Final = 65_536
"""Bytes read from a file at once."""

_CUT_OFF: Final = "cut off in mid-row: the file ends here without a line end; is it still being written? If it is whole, add one"

_TIMES: Final = ("time", "timestamp", "ts")
_WORDS: Final = ("device", "sensor", "value", "unit", *_TIMES)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    r"""`[sources.NAME]` with `kind = "replay"`: readings out of a CSV file, as if they were made now.

    Attributes:
        file: its path. Its first line names the columns.
        speed: 1: as fast as they were recorded; 60: a minute in a second; 0: as fast as they are taken.
        times: of the readings: `recorded` (as in the file) or `now` (when each is due, and marked as simulated).
        loop: begin again at its end.
        device: names the device of rows that name none; empty: the name of the source.
        sensor: names the sensor of a column `value` in rows that name none; empty: `value`.
        delimiter: the character between two cells; `"\t"` for a tab.
        time_zone: of times without one: `UTC`, `+02:00`, `Europe/Berlin`; empty: such a row becomes a dead letter.
    """

    file: Annotated[str, Meta(min_length=1)]
    speed: Annotated[float, Meta(ge=0, le=1e6)] = 1.0
    times: Literal["recorded", "now"] = "recorded"
    loop: bool = False
    device: str = ""
    sensor: str = ""
    delimiter: str = ","
    time_zone: str = ""


class Row(NamedTuple):
    """A line of the file.

    Attributes:
        data: its bytes, or the beginning of them.
        readings: received at time 0.
        reason: why it could not be read, with its number; empty: it could.
        size: its bytes.
    """

    data: bytes
    readings: list[Reading]
    reason: str = ""
    size: int = 0


def check(settings: Settings, key: str) -> None:
    """See that the settings, found at the dotted path `key`, fit together.

    Raises:
        SettingError: they do not.
    """
    for field, name in (("device", settings.device), ("sensor", settings.sensor)):
        if name and not is_name(name):
            raise SettingError(
                f"{key}.{field}", f"{name!r} is no name; allowed: 1 to {NAME_LIMIT} printable characters"
            )
    if settings.loop and settings.times == "recorded":
        raise SettingError(
            f"{key}.loop",
            'true is not allowed with times = "recorded": each round would bring readings that were there before; '
            'set times = "now"',
            [f"{key}.loop", f"{key}.times"],
        )
    _decoder(settings, ["time", "value"], key)


def _decoder(settings: Settings, columns: list[str], key: str) -> Decode:
    table = {"kind": "csv", "columns": columns, "delimiter": settings.delimiter}
    return make_decoder({**table, "time_zone": settings.time_zone}, key)


class Recording:
    """Makes rows of the bytes of a file, in bounded memory, whatever they are.

    Args:
        name: of the source, for its readings.
        settings: see there.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self._settings = settings
        self._lines = LineFraming()
        self._number = 0
        self._decode: Decode | None = None
        self.origin = Origin(name, settings.file, settings.device or name, settings.sensor, _no_header)

    def push(self, data: bytes) -> Iterator[Row]:
        """The rows that these bytes complete. Blank ones are passed over.

        Raises:
            SourceRefused: the first line names no columns.
        """
        for line in self._lines.push(data):
            self._number += 1
            if self._decode is None:
                self._begin(line)
            elif row := self._row(line):
                yield row

    def end(self) -> Iterator[Row]:
        """No byte will follow: the last line, if it has no line end, may be half a row, and is none.

        Raises:
            SourceRefused: there was no whole line at all.
        """
        if self._decode is None:
            raise self._refused("its first line has no line end" if self._lines.held else "is empty")
        for cut in self._lines.reset(_CUT_OFF):
            self._number += 1
            if isinstance(cut, Damaged) and cut.data.strip():
                yield Row(cut.data, [], f"line {self._number}: {cut.reason}", cut.size)

    def _begin(self, line: bytes | Damaged) -> None:
        """Take the header."""
        try:
            if isinstance(line, Damaged):
                raise self._refused("its first line is too long for one that names columns")
            text = line.decode("utf-8-sig")
            cells = next(csv.reader([text], delimiter=self._settings.delimiter, strict=True), [])
            columns = [_column(cell) for cell in cells]
            if not set(columns).intersection(_TIMES) or not set(columns).difference(
                _TIMES, ["", "device", "unit"]
            ):
                raise self._refused("its first line names no column of times and one of values")
            self._decode = _decoder(self._settings, columns, "the first line")
        except (UnicodeDecodeError, csv.Error):
            raise self._refused("its first line is no row of cells in UTF-8") from None
        except SettingError as error:
            raise self._refused(str(error)) from None

    def _row(self, line: bytes | Damaged) -> Row | None:
        if isinstance(line, Damaged):
            return Row(line.data, [], f"line {self._number}: {line.reason}", line.size)
        assert self._decode is not None  # noqa: S101 - for mypy
        try:
            readings = self._decode(line, self.origin, 0)
        except DecodeError as error:
            return Row(line, [], f"line {self._number}: {error}", len(line))
        if readings and not readings[0].time:
            reason = "its time names no point in time from 2000 to 2099; a local time without a zone wants `time_zone`"
            return Row(line, [], f"line {self._number}: {reason}", len(line))
        return Row(line, readings) if readings else None

    def _refused(self, problem: str) -> SourceRefused:
        words = ("timestamp", "value"), ("device", "sensor", "timestamp", "value")
        plain, full = (self._settings.delimiter.join(names) for names in words)
        return SourceRefused(
            f"replay `{self.origin.source}`: {self._settings.file}: {problem}; let it begin with a line such as "
            f"`{plain}` or `{full}`"
        )


def open_file(path: str) -> BinaryIO:
    """Open a recorded file for reading.

    Raises:
        OSError: it cannot be. A pipe or the like is refused: whoever reads from one may wait for ever.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return Path(path).open("rb")


class Timeline:
    """When rows are due: the first one now, the others as far apart as they were recorded, divided by `speed`."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._began = self._first = 0

    def due(self, time: int, now: int) -> int:
        """When a row recorded at `time` is due, as seen from `now`, and by the same clock; all in nanoseconds."""
        if not self._speed:
            return now
        if not self._first:
            self._began, self._first = now, time
        return self._began + int((time - self._first) / self._speed)


def dated(reading: Reading, settings: Settings, due: int, received: int) -> Reading:
    """The reading of a row as one that is received now."""
    now = settings.times == "now"
    return Reading(
        reading.device,
        reading.sensor,
        reading.value,
        due if now else reading.time,
        reading.source,
        received,
        reading.unit,
        Quality.SIMULATED if now else Quality.GOOD,
    )


def _column(cell: str) -> str:
    """The name of a column; the words that mean something may be written as one likes."""
    name = cell.strip()
    return name.lower() if name.lower() in _WORDS else name


def _no_header(_payload: bytes, _origin: Origin, _received: int) -> list[Reading]:
    """Decoder of an origin whose rows are decoded here."""
    raise DecodeError("rows of a recording come decoded")
