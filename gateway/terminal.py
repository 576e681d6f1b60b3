"""What the commands print for the eye."""

import os
import sys
from collections.abc import Sequence
from typing import Final, TextIO

GIVING_WAY: Final = frozenset({"SENSOR", "WHAT"})
"""Columns whose cells are broken where a terminal is too narrow."""

MOST: Final = 2_000
"""Rows that are laid out for the width of a terminal: nobody reads more, and it takes long."""


def plain(text: str) -> str:
    """A text from elsewhere on one line, without what a terminal would obey."""
    return (
        text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
    )


def coloured(stream: TextIO) -> bool:
    """Whether it is a terminal with colours, and nobody asked for none with $NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to stdout: for the width of a terminal, or one line a row where it is none.

    The cells have passed plain().
    """
    if sys.stdout.isatty() and len(rows) <= MOST:
        _laid_out(heads, rows)
        return
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    for row in (heads, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def _laid_out(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Needed only here, and slow to come.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    view = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        view.add_column(head, no_wrap=head not in GIVING_WAY, overflow="fold")
    colours = {"alarm": "red", "advisory": "yellow", "cleared": "dim"}
    for row in rows:
        view.add_row(*(Text(cell, colours.get(cell, "")) for cell in row))  # as Text, or [x] would be markup
    Console(highlight=False).print(view)
