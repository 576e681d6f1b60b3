"""The table by fault. As a program: `report.py build/faults-*.json` prints that of several runs as Markdown."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from result import Result, Run

COLUMNS: Final = (
    "fault",
    "rounds",
    "readings",
    "lost",
    "duplicated",
    "reordered",
    "redelivered",
    "sent again",
    "lost by mosquitto",
    "serial unsafe",
    "oldest, s",
    "damaged",
    "recovery, s",
    "worst, s",
    "memory, MB",
    "failed",
)


def rows(results: Iterable[Result]) -> list[list[str]]:
    """A row for each fault, and one for all of them together."""
    by_fault: dict[str, list[Result]] = {}
    for result in results:
        by_fault.setdefault(result.fault, []).append(result)
    every = [result for group in by_fault.values() for result in group]
    return [_row(fault, by_fault[fault]) for fault in sorted(by_fault)] + [_row("all", every)]


def _row(fault: str, results: Sequence[Result]) -> list[str]:
    played = [result for result in results if not result.unavailable]
    if not played:
        return [fault, "0", *[""] * (len(COLUMNS) - 3), results[0].unavailable if results else ""]
    verdicts = [result.verdict for result in played]
    recoveries = [result.recovery for result in played if result.recovery is not None] or [0.0]
    unsafe = sum(v.unsafe for v in verdicts)
    return [
        fault,
        str(len(played)),
        str(sum(v.readings for v in verdicts)),
        str(sum(v.lost for v in verdicts)),
        str(sum(v.duplicated for v in verdicts)),
        str(sum(v.reordered for v in verdicts)),
        str(sum(v.redelivered for v in verdicts)),
        str(sum(v.sent_again + v.copied for v in verdicts)),
        str(sum(v.lost_by_broker for v in verdicts)),
        str(unsafe),
        f"{max(v.unsafe_age for v in verdicts):.2f}" if unsafe else "",
        str(sum(v.damaged for v in verdicts)),
        f"{median(recoveries):.1f}",
        f"{max(recoveries):.1f}",
        f"{max(result.memory for result in played):.0f}",
        str(sum(result.failed for result in played)),
    ]


def plain(results: Sequence[Result]) -> str:
    """The table for a terminal."""
    lines = [list(COLUMNS), *rows(results)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(results: Sequence[Result]) -> str:
    """The table for a page."""
    lines = [list(COLUMNS), ["---", *["---:"] * (len(COLUMNS) - 1)], *rows(results)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def last_line(results: Sequence[Result]) -> str:
    """What everything comes down to."""
    played = [result for result in results if not result.unavailable]
    lost, duplicated, reordered = (
        sum(getattr(result.verdict, name) for result in played)
        for name in ("lost", "duplicated", "reordered")
    )
    return f"faults: {len(played)} rounds, {lost} lost, {duplicated} duplicated, {reordered} reordered"


def main(paths: Sequence[str]) -> int:
    """Print the table of the runs in these files."""
    runs = [Run.load(Path(path)) for path in paths]
    results = [result for run in runs for result in run.results]
    if not results:
        sys.stderr.write("usage: report.py FILE.json ...\n")
        return 2
    print(markdown(results))
    print()
    for run in runs:
        settings = ", ".join(f"{name} {value}" for name, value in {**run.settings, **run.machine}.items())
        print(f"- seed {run.seed}: {len(run.results)} rounds; {settings}")
    print()
    print(last_line(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
