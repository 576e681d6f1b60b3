"""What the commands print for the eye."""

import sys


def plain(text: str) -> str:
    """A text from elsewhere on one line, without what a terminal would obey."""
    return (
        text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
    )


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table to stdout: for the width of a terminal, or one line a row where it is none.

    The cells have passed plain(). The columns SENSOR and WHAT give way to the others.
    """
    # Needed only here, and slow to come.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    view = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        view.add_column(head, no_wrap=head not in {"SENSOR", "WHAT"}, overflow="fold")
    colours = {"alarm": "red", "advisory": "yellow", "cleared": "dim"}
    for row in rows:
        view.add_row(*(Text(cell, colours.get(cell, "")) for cell in row))
    if console.is_terminal:
        console.print(view)
        return
    wide = Console(highlight=False, width=100_000)
    with wide.capture() as capture:
        wide.print(view)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in capture.get().splitlines()))
