"""Rows of separated cells, as loggers and lab instruments print them: `2026-01-31T12:00:00Z,boiler-7,21.5,,40`.

A payload is one or more rows. `columns` names the cells from left to right, and members.py says what each name means:
with `columns = ["time", "device", "temperature", "", "humidity"]` the row above makes temperature and humidity of
boiler-7 at noon; with `columns = ["sensor", "value", "unit"]` the row `temperature,21.5,°C` makes one reading.

A column named `""` is not read. An empty cell is no reading. Blank rows are ignored, and so is a header: a row that
repeats the names of the columns. A row with more or fewer cells than columns refuses the payload, as a torn line does.
A cell is a number with a decimal point, `true` or `false` in any case, or a text; in double quotes it may hold the
delimiter. Spaces around a cell do not count.
"""

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from devices.decoders.common import READINGS_LIMIT, text_of, too_many
from devices.decoders.members import NAMING, readings_of
from devices.decoders.words import value_of
from devices.errors import DecodeError
from devices.reading import NAME_LIMIT, Reading
from devices.source import Decode, Origin

_COLUMNS_LIMIT: Final = 1000


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    r"""How a row is to be read.

    Attributes:
        columns: name of each cell from left to right; empty for one that is not read.
        delimiter: the character between two cells; `"\t"` for a tab.
    """

    columns: Annotated[
        tuple[Annotated[str, Meta(max_length=NAME_LIMIT)], ...], Meta(min_length=1, max_length=_COLUMNS_LIMIT)
    ]
    delimiter: Annotated[str, Meta(pattern=r'^[^"\r\n\w. +-]$')] = ","

    def __post_init__(self) -> None:
        """Refuse columns that could make no reading, or two of one name."""
        named = [name for name in self.columns if name]
        if not named:
            raise ValueError("`columns` names no column")
        if len(set(named)) < len(named):
            raise ValueError("`columns` has two columns of one name")


def decoder(settings: Settings) -> Decode:
    """See devices.source.Decode."""
    columns = settings.columns

    def decode(data: bytes, origin: Origin, received: int) -> list[Reading]:
        rows: list[dict[str, Any]] = []
        for cells in _cells(text_of(data), settings.delimiter):
            if len(cells) != len(columns):
                raise DecodeError(
                    f"a row of {len(cells)} cells where {len(columns)} columns are set: a torn line, another "
                    f"delimiter than the one set, or `columns` does not describe this device"
                )
            if not _is_header(cells, columns):
                rows.append(_members(cells, columns))
            if len(rows) > READINGS_LIMIT:
                raise too_many()
        return readings_of(rows, origin, received)

    return decode


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


def _members(cells: list[str], columns: tuple[str, ...]) -> dict[str, Any]:
    return {
        column: cell if column in NAMING else value_of(cell)
        for column, cell in zip(columns, cells, strict=True)
        if column and cell
    }
