"""What a backtest reads: rows in chunks, wherever they come from."""

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from gateway.wire import Arrival

CHUNK: Final = 10_000
"""Rows that are judged at once, at most."""


class RefusedError(Exception):
    """There is nothing to judge. The text says why, and what is expected, on one printable line."""

    def __init__(self, text: str) -> None:
        super().__init__("".join(one if one.isprintable() else repr(one)[1:-1] for one in text))


class Bad(NamedTuple):
    """A row that is no reading: which one it is, and why."""

    where: str
    reason: str


class Chunk(NamedTuple):
    """Some rows, in order.

    Attributes:
        partition: whose sensors they are of; each has a bank of its own.
        cells: of each row, as `columns` of its source names them; empty if nobody wants them.
        rows: how many there are.
        arrivals: those that are readings; places: which rows these are.
        bad: the others.
        done: how far the source has been read.
    """

    partition: int
    cells: list[tuple[str, ...]]
    rows: int
    arrivals: list[Arrival]
    places: list[int]
    bad: list[Bad]
    done: int


class Recorded(Protocol):
    """A recording.

    Attributes:
        name: what it is, for people.
        columns: of its rows that say what was measured.
        total: what `Chunk.done` is at its end, about.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see Attributes, as the next ones

    @property
    def columns(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def total(self) -> int: ...  # noqa: D102

    def chunks(self, parts: int, *, cells: bool) -> Iterator[Chunk]:
        """All rows, once: in `parts` chunks or more, as far as that can be told before. `cells`: whether they are wanted.

        Raises:
            RefusedError: see there.
        """
        ...
