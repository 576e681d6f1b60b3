"""Show in one screen whether data flows, and why not.

On a terminal what does not fit is left out, the worst is first, and the last line of each part says how much more there is;
through a pipe all of it is shown. With --watch it is shown again every two seconds, or every SECONDS, until Ctrl-C, also
while gatewayd is away; with --json too that is one object a line.

Exit code: 0 healthy, 1 degraded, 2 down or unreachable; with --watch 0.

examples:
  gatewayctl status
  gatewayctl status --watch
  gatewayctl status --json | jq .health
"""

import argparse
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.cli.fitting import Part, Room, fit
from gateway.control import ControlError, ask, find_socket
from gateway.spans import span
from gateway.terminal import coloured, plain

EXIT_CODES: Final = {"healthy": 0, "degraded": 1, "down": 2}
PROBLEMS: Final = {
    "checksum_errors": "checksum errors",
    "malformed": "malformed frames",
    "too_long": "frames too long",
    "cut_short": "frames cut short",
    "damaged_bytes": "damaged bytes",
    "resyncs": "resyncs",
    "too_large": "messages too large",
    "unmatched": "messages of no configured topic",
    "redelivered": "messages redelivered",
    "reconnects": "reconnects",
    "dead_letters": "dead letters",
}
"""Counts of a source that tell of trouble, and their words."""

SHORTEST: Final = 0.2
LONGEST: Final = 3600
"""Seconds between two looks of --watch."""

COLOURS: Final = {"healthy": "\x1b[32m", "degraded": "\x1b[33m", "down": "\x1b[31m"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--json", action="store_true", help="print the whole status as one JSON object")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=2.0,
        metavar="SECONDS",
        help="show it again and again, until Ctrl-C (default: every 2 seconds)",
    )
    parser.add_argument(
        "--socket", default="", help="control socket of the daemon (default: where it usually is)"
    )


def run(options: argparse.Namespace) -> int:
    """Ask the daemon and print its answer."""
    if options.watch is not None:
        from gateway.cli.watch import watch  # noqa: PLC0415 - needed only here

        return watch(lambda: asked(find_socket(options.socket)), options.watch, as_json=options.json)
    status = asked(find_socket(options.socket))
    if options.json:
        sys.stdout.write(json.dumps(status, indent=2) + "\n")
    elif "gateway" not in status:
        sys.stderr.write(f"down: {status['reasons'][0]}\n")
    else:
        terminal = sys.stdout.isatty()
        room = None
        if terminal:
            columns, rows = shutil.get_terminal_size()
            room = Room(columns, rows - 1)  # one for the prompt
        sys.stdout.write("\n".join(lines(status, colour=coloured(sys.stdout), room=room)) + "\n")
    return EXIT_CODES.get(status["health"], 2)


def asked(path: Path) -> dict[str, Any]:
    """What the daemon says of itself; if it does not answer, that it is down, and why."""
    try:
        return ask(path, {"verb": "status"})
    except ControlError as error:
        return {"health": "down", "reasons": [str(error)]}


def lines(status: dict[str, Any], *, colour: bool, room: Room | None = None) -> list[str]:
    """The status for the eye, in this room or as long as it is; no line holds anything that a terminal would obey."""
    shown = fit(
        [
            Part([plain(line) for line in part.heads], [*map(plain, part.rows)], part.more)
            for part in _parts(status)
        ],
        room,
    )
    health = status["health"]
    if colour:
        shown[0] = f"{COLOURS[health]}{health}\x1b[0m{shown[0][len(health) :]}"
    return shown


def _parts(status: dict[str, Any]) -> Iterator[Part]:
    if "gateway" not in status:
        yield Part([f"down: {status['reasons'][0]}"])
        return
    gateway = status["gateway"]
    yield Part(
        [
            f"{status['health']}   gateway {gateway['id']}, version {gateway['version']}, up {span(gateway['uptime_s'])}"
        ],
        [f"  - {reason}" for reason in status["reasons"]],
        "  - and {} more".format,
    )
    sources = sorted(status["sources"], key=_how_well)  # stable: else as they are configured
    yield Part(
        ["", f"{'SOURCE':<20} {'KIND':<10} {'STATE':<22} {'READINGS/S':>10}  LAST READING"],
        [*map(_source, sources)],
        lambda left: _more_sources(sources[-left:]),
    )
    yield Part(["", *_way_out(status)])
    if wrong := list(_quality(sources)):
        yield Part(["", "QUALITY  since the start"], wrong, "  and {} more".format)
    ledger = status["ledger"]
    place = {source["name"]: number for number, source in enumerate(sources)}
    rows = sorted(
        ledger["sources"].items(), key=lambda row: (row[1]["balanced"], place.get(row[0], math.inf))
    )
    yield Part(["", _ledger_head(ledger)], [ledger_line(*row) for row in rows], _more_that(rows))


def _how_well(source: dict[str, Any]) -> int:
    """Orders sources, the worst first."""
    if source["state"] in {"lost", "refused"}:
        return 0
    return 1 if source["problems"] else 2


def state_of(source: dict[str, Any]) -> str:
    """In a word or two."""
    state: str = "silent" if source["silent"] else "waiting" if source["waiting"] else source["state"]
    return f"{state}, simulated" if source["standing_in"] else state


def last_reading(source: dict[str, Any]) -> str:
    """How long ago."""
    age = source["last_reading_age_s"]
    return "never" if age is None else f"{span(age)} ago"


def _source(one: dict[str, Any]) -> str:
    return f"{one['name']:<20} {one['kind']:<10} {state_of(one):<22} {one['readings_per_s']:>10.1f}  {last_reading(one)}"


def _more_sources(left: Sequence[dict[str, Any]]) -> str:
    wrong = sum(bool(one["problems"]) for one in left)
    return f"and {len(left)} more, {wrong} of them not healthy" if wrong else f"and {len(left)} more healthy"


def _more_that(rows: Sequence[tuple[str, dict[str, Any]]]) -> Callable[[int], str]:
    def more(left: int) -> str:
        wrong = sum(not row["balanced"] for _, row in rows[-left:])
        return (
            f"  and {left} more, {wrong} of which do not balance"
            if wrong
            else f"  and {left} more, which balance"
        )

    return more


def idle(sources: list[dict[str, Any]]) -> str:
    """Why no reading goes into the spool now."""
    waiting = [source["name"] for source in sources if source["waiting"]]
    return f"no room for what {', '.join(waiting)} would bring" if waiting else "nothing comes in"


def _way_out(status: dict[str, Any]) -> Iterator[str]:
    spool, kafka = status["spool"], status["kafka"]
    fill = max(
        100 * spool["bytes"] / spool["capacity_bytes"],
        100 * spool["memory_bytes"] / spool["memory_capacity_bytes"],
    )
    lasts = (
        f"lasts {span(spool['lasts_s'])} more at this rate"
        if spool["lasts_s"] is not None
        else idle(status["sources"])
    )
    yield f"spool  {spool['readings']} readings ({spool['on_disk']} on disk), {fill:.1f} % full, {lasts}, then {spool['when_full']}"
    reach = {True: "reachable", False: "UNREACHABLE", None: "not asked yet"}[kafka["reachable"]]
    age = kafka["last_delivery_age_s"]
    last = "nothing delivered yet" if age is None else f"last delivery {span(age)} ago"
    yield (
        f"kafka  {reach} for {span(kafka['for_s'])} at {kafka['bootstrap_servers']}, "
        f"{kafka['delivered_per_s']:.1f} readings/s, {last}"
    )
    yield "clock  synchronised" if status["clock"]["synchronised"] else "clock  NOT SYNCHRONISED"


def troubles(source: dict[str, Any]) -> list[str]:
    """What went wrong on the way here, since the start; empty if nothing did."""
    counts = {**source["counts"], "dead_letters": source["dead_letters"]}
    counts["reconnects"] = reconnects(source)
    return [f"{words} {counts[name]}" for name, words in PROBLEMS.items() if counts.get(name)]


def reconnects(source: dict[str, Any]) -> int:
    """How often the connection was made anew."""
    return max(0, int(source["counts"].get("connects", 0)) - 1)


def _quality(sources: Sequence[dict[str, Any]]) -> Iterator[str]:
    for source in sources:
        if wrong := troubles(source):
            yield f"  {source['name']}: {', '.join(wrong)}"


def _ledger_head(ledger: dict[str, Any]) -> str:
    stops = ledger["unclean_stops"]
    return (
        "LEDGER"
        + (f"  unclean stops: {stops}" if stops is not None else "")
        + ("" if ledger["balanced"] else "  DOES NOT BALANCE")
    )


def ledger_line(name: str, source: dict[str, Any]) -> str:
    """Both balances of one source."""
    return f"  {name}: {payloads_of(source)}; {readings_of(source)}"


def payloads_of(ledger: dict[str, Any]) -> str:
    """The balance of payloads of one source."""
    one = ledger["payloads"]
    return (
        f"{one['received']} payloads = {one['decoded']} decoded + {one['ignored']} ignored"
        f" + {one['dead_lettered']} dead-lettered"
    )


def readings_of(ledger: dict[str, Any]) -> str:
    """The balance of readings of one source."""
    one = ledger["readings"]
    dropped = "".join(f" + {count} dropped ({reason})" for reason, count in one["dropped"].items())
    return (
        f"{one['made']} readings = {one['delivered']} delivered + {one['spooled']} spooled"
        f" + {one['in_memory']} in memory + {one['refused']} refused{dropped}"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not SHORTEST <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not allowed: must be seconds, from {SHORTEST} to {LONGEST}"
        )
    return seconds
