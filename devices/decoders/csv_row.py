"""Rows of separated cells, as loggers and lab instruments print them: `2026-01-31T12:00:00Z,boiler-7,21.5,,40`.

A payload is one or more rows. `columns` names the cells from left to right, and members.py says what each name means:
with `columns = ["time", "device", "temperature", "", "humidity"]` the row above makes temperature and humidity of
boiler-7 at noon; with `columns = ["sensor", "value", "unit"]` the row `temperature,21.5,°C` makes one reading.

With `header = "time"` the device says the names itself: a row with a cell `time` is a header and names the columns of the
rows below it, in the same payload and in those that follow over the same connection, until the next header. Rows before
any header are read by `columns`; without those they are refused, for nothing tells what they mean.

A column named `""` is not read. An empty cell is no reading. Blank rows are ignored, and so is a row that repeats the
names of `columns`. A row with more or fewer cells than columns refuses the payload, as a torn line does. A cell is a
number with a decimal point, `true` or `false` in any case, or a text; in double quotes it may hold the delimiter. Spaces
around a cell do not count.
"""

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any, Final

from msgspec import Meta

from devices.decoders.common import READINGS_LIMIT, text_of, too_many
from devices.decoders.members import Members
from devices.decoders.naming import Naming, rules_of
from devices.decoders.words import value_of
from devices.errors import DecodeError, SettingError
from devices.reading import NAME_LIMIT, Reading, is_name
from devices.source import Decode, Origin

_COLUMNS_LIMIT: Final = 1000
_MEMORY: Final = "columns"


class Settings(Naming, frozen=True, forbid_unknown_fields=True):
    r"""How a row is to be read; what its names mean, see Naming.

    Attributes:
        columns: name of each cell from left to right; empty for one that is not read. May be left out with a header.
        header: the name of one column, by which rows that name the columns are known. Empty: `columns` names them.
        delimiter: the character between two cells; `"\t"` for a tab.
    """

    columns: Annotated[
        tuple[Annotated[str, Meta(max_length=NAME_LIMIT)], ...], Meta(max_length=_COLUMNS_LIMIT)
    ] = ()
    header: Annotated[str, Meta(max_length=NAME_LIMIT)] = ""
    delimiter: Annotated[
        str,
        Meta(
            pattern=r'^[^"\r\n\w. +-]$',
            description='one character, and no letter, digit, space, line end, nor " . _ + -',
        ),
    ] = ","


def decoder(settings: Settings) -> Decode:
    """See devices.source.Decode. Remembers, in `origin.memory`, the columns that the last header named.

    Raises:
        SettingError: columns that could make no reading, or two of one name.
    """
    _check(settings)
    known = Members(rules_of(settings))

    def decode(data: bytes, origin: Origin, received: int) -> list[Reading]:
        columns = origin.memory.get(_MEMORY, settings.columns)
        rows: list[dict[str, Any]] = []
        for cells in _cells(text_of(data), settings.delimiter):
            if settings.header and settings.header in cells:
                columns = _named(cells)
                continue
            if not columns:
                raise DecodeError(
                    "a row before any header: nothing names its columns yet; set `columns` to read it"
                )
            if len(cells) != len(columns):
                raise DecodeError(
                    f"a row of {len(cells)} cells where there are {len(columns)} columns: a torn line, another "
                    f"delimiter than the one set, or `columns` does not describe this device"
                )
            if not _is_header(cells, columns):
                rows.append(_members(cells, columns, known.naming))
            if len(rows) > READINGS_LIMIT:
                raise too_many()
        readings = known.readings(rows, origin, received)
        if columns is not settings.columns:
            origin.memory[_MEMORY] = columns
        return readings

    return decode


def _check(settings: Settings) -> None:
    named = [name for name in settings.columns if name]
    if twice := {name for name in named if named.count(name) > 1}:
        raise SettingError("columns", f"{twice.pop()!r} is the name of two columns; allowed: each name once")
    if not named and (settings.columns or not settings.header):
        raise SettingError(
            "columns",
            "names no column; allowed: the names of the cells, or the name of one column as `header`",
        )


def _named(cells: list[str]) -> tuple[str, ...]:
    """The columns that a header names."""
    named = [cell for cell in cells if cell]
    if len(cells) > _COLUMNS_LIMIT or len(set(named)) < len(named) or not all(map(is_name, named)):
        raise DecodeError(
            f"a header that is none: a name occurs twice or is not 1 to {NAME_LIMIT} printable characters, "
            f"or there are more than {_COLUMNS_LIMIT}"
        )
    return tuple(cells)


def _cells(text: str, delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped) or len(stripped) > 1:
                yield stripped
    except csv.Error:
        raise DecodeError(
            "not rows of cells: a quote that does not end, or text behind a quoted cell"
        ) from None


def _is_header(cells: list[str], columns: tuple[str, ...]) -> bool:
    return all(cell == column for cell, column in zip(cells, columns, strict=True) if column)


def _members(cells: list[str], columns: tuple[str, ...], naming: frozenset[str]) -> dict[str, Any]:
    return {
        column: cell if column in naming else value_of(cell)
        for column, cell in zip(columns, cells, strict=True)
        if column and cell
    }
