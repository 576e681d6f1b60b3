"""Fits what a command shows into a terminal: the worst first, and how much more there is. The standard library alone."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """One part of a screen.

    Attributes:
        heads: lines that are always there.
        rows: those that may be left out from the end.
        more: what stands in the place of those, by how many there are left.
    """

    heads: Sequence[str]
    rows: Sequence[str] = ()
    more: Callable[[int], str] = "and {} more".format


class Room(NamedTuple):
    """A terminal.

    Attributes:
        columns, lines: its size.
        cut: lines are cut to its width; else they take more than one.
    """

    columns: int
    lines: int
    cut: bool = False

    def height(self, line: str) -> int:
        """How many lines of the terminal it takes."""
        return 1 if self.cut else max(1, math.ceil(len(line) / self.columns))

    def cut_off(self, line: str) -> str:
        """The line, as far as it fits if lines are cut."""
        return line if not self.cut or len(line) <= self.columns else f"{line[: self.columns - 1]}…"


def fit(parts: Sequence[Part], room: Room | None) -> list[str]:
    """All lines, or as many as the room has: every part gets the same, and what one does not need the others get.

    A part shows at least its first row, as long as `room` does not cut: else no more lines come out than it has.
    """
    if room is None:
        return [line for part in parts for line in (*part.heads, *part.rows)]
    wanted = [sum(map(room.height, part.rows)) for part in parts]
    free = room.lines - sum(room.height(line) for part in parts for line in part.heads)
    shares = _shared(wanted, free)
    lines = [
        line
        for part, share, all_of_it in zip(parts, shares, wanted, strict=True)
        for line in (*part.heads, *(part.rows if all_of_it <= share else _first(part, share, room)))
    ]
    return [room.cut_off(line) for line in (lines[: room.lines] if room.cut else lines)]


def _shared(wanted: Sequence[int], free: int) -> list[int]:
    shares = [0] * len(wanted)
    while free > 0 and shares != list(wanted):
        for place, want in enumerate(wanted):
            if shares[place] < want and free > 0:
                shares[place] += 1
                free -= 1
    return shares


def _first(part: Part, share: int, room: Room) -> list[str]:
    """The rows that fit beside the line that says how many do not."""
    if share < 1 and room.cut:
        return []
    left = share - 1
    shown: list[str] = []
    for row in part.rows:
        left -= room.height(row)
        if left < 0 and (shown or room.cut):
            break
        shown.append(row)
    rest = len(part.rows) - len(shown)
    return [*shown, part.more(rest)] if rest else shown
