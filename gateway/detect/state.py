"""The state of all sensors: a column for each field. What stands in one row of all columns is one sensor.

Columns and not one array of rows, because a rule reads a few fields of many sensors at a time. The bytes of a row, in
the order of the fields of its type, are its snapshot.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Row = npt.NDArray[np.void]

LONG_AGO: Final = -(2**63)
"""The time of a reading that never came."""


class Columns:
    """One array for each field, all of one length.

    A field begins as `fresh` says, or as zero. Arrays are replaced when the table grows: ask for them anew.
    """

    def __init__(
        self, fields: Mapping[str, str | tuple[str, tuple[int]]], fresh: Mapping[str, float] | None = None
    ) -> None:
        """`fields` by name: types as NumPy writes them, with a shape if a field holds several numbers."""
        self.dtype = np.dtype(
            [(name, *(kind if isinstance(kind, tuple) else (kind,))) for name, kind in fields.items()]
        )
        self._fresh = np.zeros((), self.dtype)
        for name, value in (fresh or {}).items():
            self._fresh[name] = value
        self._arrays: dict[str, npt.NDArray[Any]] = {name: np.zeros(0) for name in fields}
        self.grow(0)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._arrays[name]

    def grow(self, size: int) -> None:
        """Make room for `size` sensors."""
        for name, old in self._arrays.items():
            kind, shape = self.dtype[name].base, self.dtype[name].shape
            new = np.empty((size, *shape), kind)
            new[: len(old)] = old.reshape(len(old), *shape)
            new[len(old) :] = self._fresh[name]
            self._arrays[name] = new

    def reset(self, row: int) -> None:
        """Make the row that of a sensor never heard of."""
        for name, array in self._arrays.items():
            array[row] = self._fresh[name]

    def fresh(self) -> Row:
        """The row of a sensor never heard of."""
        return self._fresh.copy()

    def save(self, rows: Ints) -> Row:
        """Copies of some rows."""
        saved = np.empty(len(rows), self.dtype)
        for name, array in self._arrays.items():
            saved[name] = array[rows]
        return saved

    def load(self, row: int, saved: Row) -> None:
        """Put a saved row in its place."""
        for name, array in self._arrays.items():
            array[row] = saved[name]


class Table:
    """The columns of all parts: of the bank itself and of each rule."""

    def __init__(self, parts: Mapping[str, Columns]) -> None:
        self.parts = dict(parts)
        self.dtype = np.dtype([(name, part.dtype) for name, part in parts.items()])
        self.size = 0

    def grow(self, size: int) -> None:
        """See Columns."""
        self.size = size
        for part in self.parts.values():
            part.grow(size)

    def reset(self, row: int) -> None:
        """See Columns."""
        for part in self.parts.values():
            part.reset(row)

    def fresh(self) -> Row:
        """See Columns."""
        row = np.zeros((), self.dtype)
        for name, part in self.parts.items():
            row[name] = part.fresh()
        return row

    def save(self, rows: Ints) -> Row:
        """See Columns."""
        saved = np.empty(len(rows), self.dtype)
        for name, part in self.parts.items():
            saved[name] = part.save(rows)
        return saved

    def load(self, row: int, saved: Row) -> None:
        """See Columns."""
        for name, part in self.parts.items():
            part.load(row, saved[name])
