"""Show each source: its connection and since when, where it is, its rate, what came, and what is wrong with it.

With NAME everything about one: its balances, counts, devices, last trouble, and, for root and members of the group of the
socket, what is configured, without secrets.

Exit code: 0 all are healthy, 1 some are not, 2 gatewayd does not answer, or there is no such source.

examples:
  gatewayctl sources
  gatewayctl sources boiler-room
  gatewayctl sources --json | jq -r '.sources[] | select(.problems != []) | .name'
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.cli.status import last_reading, payloads_of, readings_of, reconnects, state_of, troubles
from gateway.control import ControlError, ask, find_socket
from gateway.spans import span
from gateway.terminal import plain

HEADS: Final = (
    "SOURCE",
    "KIND",
    "STATE",
    "SINCE",
    "READINGS/S",
    "LAST READING",
    "PAYLOADS",
    "DEAD LETTERS",
    "RECONNECTS",
    "WHERE",
)
NUMBERS: Final = frozenset({"READINGS/S", "PAYLOADS", "DEAD LETTERS", "RECONNECTS"})
"""Columns that are aligned to the right."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="everything about this one")
    parser.add_argument("--json", action="store_true", help="print all of it as one JSON object")
    parser.add_argument(
        "--socket", default="", help="control socket of the daemon (default: where it usually is)"
    )


def run(options: argparse.Namespace) -> int:
    """Ask the daemon and print."""
    path = find_socket(options.socket)
    try:
        status = ask(path, {"verb": "status"})
        sources = [
            {**one, "ledger": status["ledger"]["sources"].get(one["name"])} for one in status["sources"]
        ]
        if options.name is not None:
            sources = [{**_named(options.name, sources), **_settings(path, options.name)}]
    except ControlError as error:
        sys.stderr.write(f"gatewayctl sources: {error}\n")
        return 2
    if options.json:
        shown = sources[0] if options.name is not None else {"sources": sources}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    else:
        text = one_source(sources[0]) if options.name is not None else table(sources)
        sys.stdout.write("".join(f"{plain(line)}\n" for line in text))
    return int(any(one["problems"] for one in sources))


def _named(name: str, sources: list[dict[str, Any]]) -> dict[str, Any]:
    for one in sources:
        if one["name"] == name:
            return one
    raise ControlError(f"there is no source {name!r}; there are: {', '.join(one['name'] for one in sources)}")


def _settings(path: Path, name: str) -> dict[str, Any]:
    """What is configured; if this user may not know it, why."""
    try:
        answer = ask(path, {"verb": "source settings", "source": name})
    except ControlError as error:
        return {"settings": None, "settings_denied": str(error)}
    return {"settings": answer["settings"], "settings_denied": ""}


def table(sources: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each source, and below it what is wrong."""
    rows = [HEADS, *map(_row, sources)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADS))]
    for row, problems in zip(rows, [[], *(one["problems"] for one in sources)], strict=True):
        cells = zip(HEADS, row, widths, strict=True)
        yield "  ".join(
            cell.rjust(width) if head in NUMBERS else cell.ljust(width) for head, cell, width in cells
        ).rstrip()
        for problem in problems:
            yield f"  - {problem}"


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    payloads = one["ledger"]["payloads"]["received"] if one["ledger"] else 0
    return (
        one["name"],
        one["kind"],
        state_of(one),
        span(one["for_s"]),
        f"{one['readings_per_s']:.1f}",
        last_reading(one),
        str(payloads),
        str(one["dead_letters"]),
        str(reconnects(one)),
        one["where"],
    )


def one_source(one: dict[str, Any]) -> Iterator[str]:
    """All about one."""
    where = f" at {one['where']}" if one["where"] else ""
    yield f"{one['name']}   {one['kind']}{where}"
    for problem in one["problems"]:
        yield f"  - {problem}"
    yield f"state         {state_of(one)} for {span(one['for_s'])}"
    yield f"readings      {one['readings_per_s']:.1f} per s, the last one {last_reading(one)}"
    if one["ledger"]:
        yield f"              {payloads_of(one['ledger'])}"
        yield f"              {readings_of(one['ledger'])}"
    yield (
        f"devices       {one['devices']} heard, {one['devices_silent']} of them silent, "
        f"{one['devices_missing']} missing, {one['devices_forgotten']} forgotten"
    )
    if one["counts"]:
        yield f"counts        {', '.join(f'{name} {count}' for name, count in one['counts'].items())}"
    by_reason = ", ".join(f"{count} {why}" for why, count in one["dead_letters_by_reason"].items() if count)
    yield f"dead letters  {one['dead_letters']} since the start{f': {by_reason}' if by_reason else ''}"
    yield f"quality       {', '.join(troubles(one)) or 'nothing went wrong since the start'}"
    age = one["last_trouble_age_s"]
    yield f"last trouble  {'none since the start' if age is None else f'{span(age)} ago: ' + one['last_trouble']}"
    yield from _configured(one)


def _configured(one: dict[str, Any]) -> Iterator[str]:
    if one["settings"] is None:
        yield f"settings      {one['settings_denied']}"
        return
    head = "settings"
    for key, value in one["settings"].items():
        yield f"{head:<12}  {key} = {json.dumps(value, ensure_ascii=False)}"
        head = ""
