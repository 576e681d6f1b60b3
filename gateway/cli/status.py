"""Show in one screen whether data flows, and why not.

Exit code: 0 healthy, 1 degraded, 2 down or unreachable.

example: gatewayctl status --json | jq .health
"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from gateway.control import ControlError, ask, find_socket
from gateway.spans import span
from gateway.terminal import coloured

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

COLOURS: Final = {"healthy": "\x1b[32m", "degraded": "\x1b[33m", "down": "\x1b[31m"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--json", action="store_true", help="print the whole status as one JSON object")
    parser.add_argument(
        "--socket", default="", help="control socket of the daemon (default: where it usually is)"
    )


def run(options: argparse.Namespace) -> int:
    """Ask the daemon and print its answer."""
    try:
        status = ask(find_socket(options.socket), {"verb": "status"})
    except ControlError as error:
        if options.json:
            status = {"health": "down", "reasons": [str(error)]}
            sys.stdout.write(json.dumps(status) + "\n")
        else:
            sys.stderr.write(f"down: {error}\n")
        return EXIT_CODES["down"]
    if options.json:
        sys.stdout.write(json.dumps(status, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(lines(status, colour=coloured(sys.stdout))) + "\n")
    return EXIT_CODES.get(status["health"], 2)


def lines(status: dict[str, Any], *, colour: bool) -> Iterator[str]:
    """The status for the eye."""
    gateway, health = status["gateway"], status["health"]
    shown = f"{COLOURS[health]}{health}\x1b[0m" if colour else health
    yield f"{shown}   gateway {gateway['id']}, version {gateway['version']}, up {span(gateway['uptime_s'])}"
    for reason in status["reasons"]:
        yield f"  - {reason}"
    yield ""
    yield f"{'SOURCE':<20} {'KIND':<10} {'STATE':<22} {'READINGS/S':>10}  LAST READING"
    for source in status["sources"]:
        state = "silent" if source["silent"] else "waiting" if source["waiting"] else source["state"]
        if source["standing_in"]:
            state += ", simulated"
        age = source["last_reading_age_s"]
        last = "never" if age is None else f"{span(age)} ago"
        yield f"{source['name']:<20} {source['kind']:<10} {state:<22} {source['readings_per_s']:>10.1f}  {last}"
    yield ""
    yield from _way_out(status)
    yield ""
    yield from _quality(status["sources"])
    yield from _ledger(status["ledger"])


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


def _quality(sources: list[dict[str, Any]]) -> Iterator[str]:
    """What went wrong on the way here, since the start; nothing if nothing did."""
    shown = []
    for source in sources:
        counts = {**source["counts"], "dead_letters": source["dead_letters"]}
        counts["reconnects"] = max(0, counts.get("connects", 0) - 1)
        wrong = [f"{words} {counts[name]}" for name, words in PROBLEMS.items() if counts.get(name)]
        if wrong:
            shown.append(f"  {source['name']}: {', '.join(wrong)}")
    if shown:
        yield "QUALITY  since the start"
        yield from shown
        yield ""


def _ledger(ledger: dict[str, Any]) -> Iterator[str]:
    stops = ledger["unclean_stops"]
    yield (
        "LEDGER"
        + (f"  unclean stops: {stops}" if stops is not None else "")
        + ("" if ledger["balanced"] else "  DOES NOT BALANCE")
    )
    for name, source in ledger["sources"].items():
        payloads, readings = source["payloads"], source["readings"]
        dropped = ", ".join(f"{count} dropped ({reason})" for reason, count in readings["dropped"].items())
        yield (
            f"  {name}: {payloads['received']} payloads = {payloads['decoded']} decoded + {payloads['ignored']} ignored"
            f" + {payloads['dead_lettered']} dead-lettered; {readings['made']} readings = {readings['delivered']}"
            f" delivered + {readings['spooled']} spooled + {readings['in_memory']} in memory"
            f" + {readings['refused']} refused" + (f" + {dropped}" if dropped else "")
        )
