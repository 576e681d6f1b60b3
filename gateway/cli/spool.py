"""Show what waits for Kafka: how much, how old, where, and how long there is room.

If gatewayd does not answer, what is in its folder is shown instead, if the configuration says where that is. Nothing is
changed there.

Exit code: 0 healthy, 1 degraded, 2 down or unreachable, as of `gatewayctl status`.

example: gatewayctl spool --json | jq .spool.lasts_s
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gateway.cli.status import EXIT_CODES, idle
from gateway.config_files import usual_path
from gateway.control import ControlError, ask, find_socket
from gateway.spans import span

FULL: Final = {
    "drop-oldest": "the oldest readings on disk are given up for new ones, and counted",
    "drop-newest": "new readings are given up, and counted; what is held stays",
    "block": "MQTT brokers have to wait; serial lines, which cannot, lose their newest readings, and these are counted",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--json", action="store_true", help="print health and spool as one JSON object")
    parser.add_argument(
        "--socket", default="", help="control socket of the daemon (default: where it usually is)"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=usual_path("gateway"),
        help="names its socket and its folder, if gatewayd does not answer where it usually is (default: $GATEWAY_CONFIG, "
        "else /etc/gateway/gateway.toml)",
    )


def run(options: argparse.Namespace) -> int:
    """Ask the daemon, or look into its folder, and print."""
    trouble = ""
    try:
        status = ask(find_socket(options.socket), {"verb": "status"})
    except ControlError as error:
        status, trouble = _otherwise(options, str(error))
    if options.json:
        shown = {name: status[name] for name in ("health", "reasons", "spool") if name in status}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    else:
        sys.stderr.write(f"down: {trouble}\n" if trouble else "")
        if "spool" in status:
            sys.stdout.write("\n".join(lines(status)) + "\n")
    return EXIT_CODES.get(status["health"], 2)


def _otherwise(options: argparse.Namespace, problem: str) -> tuple[dict[str, Any], str]:
    """What the daemon says at the socket that the configuration names, else what is in the folder and why it does not."""
    # Needed only here: they take longer than all the rest.
    import gateway.plain_structlog  # noqa: F401, PLC0415 - before all that import structlog: quicker
    from gateway.cli.spool_here import look_quietly  # noqa: PLC0415
    from gateway.config import ConfigError, GatewayConfig, load  # noqa: PLC0415
    from gateway.identity import state_dir  # noqa: PLC0415

    try:
        settings = load(options.config, GatewayConfig)
        if settings.control.socket and not options.socket:
            with contextlib.suppress(ControlError):
                return ask(Path(settings.control.socket), {"verb": "status"}), ""
        folder = state_dir(settings.gateway) / "spool"
        spool = look_quietly(folder, settings.spool)
    except ConfigError as error:
        problem = f"{problem}; what is on disk cannot be shown: {error}; name the file with --config"
        return {"health": "down", "reasons": [problem]}, problem
    except OSError as error:
        problem = f"{problem}; what is on disk cannot be shown: {folder}: {error.strerror}"
        return {"health": "down", "reasons": [problem]}, problem
    return {"health": "down", "reasons": [problem], "spool": spool}, problem


def lines(status: dict[str, Any]) -> Iterator[str]:
    """The spool for the eye."""
    spool = status["spool"]
    in_memory = spool["readings"] - spool["on_disk"]
    letters_in_memory = spool["dead_letters"] - spool["dead_letters_on_disk"]
    yield f"{'':<13} {'ON DISK':>12} {'IN MEMORY':>12}"
    yield f"{'readings':<13} {spool['on_disk']:>12} {in_memory:>12}"
    yield f"{'dead letters':<13} {spool['dead_letters_on_disk']:>12} {letters_in_memory:>12}"
    yield f"{'bytes':<13} {size(spool['bytes']):>12} {size(spool['memory_bytes']):>12}"
    yield f"{'of at most':<13} {size(spool['capacity_bytes']):>12} {size(spool['memory_capacity_bytes']):>12}"
    yield ""
    age = spool["oldest_age_s"]
    yield f"oldest       {'nothing waits' if age is None else f'{span(age)} old'}"
    yield f"room         {_room(spool, status.get('sources', []))}"
    yield f"when full    {FULL.get(spool['when_full'], spool['when_full'])} ({spool['when_full']})"
    if spool["trouble"]:
        yield f"disk         IN TROUBLE: {spool['trouble']}; readings wait in memory: make room or replace the disk"
    yield f"files        {spool['segments']} segments in {spool['folder']}"
    yield f"quarantine   {_quarantine(spool)}"
    yield f"spool        id {spool['id'] or 'unknown'}, epoch {spool['epoch']}"


def _room(spool: dict[str, Any], sources: list[dict[str, Any]]) -> str:
    if "running" in spool:
        return "gatewayd does not run: nothing comes in, and nothing is sent"
    if spool["lasts_s"] is None:
        return idle(sources)
    away = "" if spool["trouble"] else " if Kafka took nothing from now on"
    return f"for {span(spool['lasts_s'])} more at this rate{away}"


def _quarantine(spool: dict[str, Any]) -> str:
    found, copies = spool["quarantined"], spool["quarantine_copies"]
    if not found and not copies:
        return "no damaged frames"
    when = "found by this look" if "running" in spool else "since the start"
    return (
        f"{found} damaged frames {when}, {copies} copies in {spool['folder']}/quarantine, named by segment, "
        "offset and reason.\n             Readings in them are lost to Kafka; nothing needs the copies, they may be "
        "deleted.\n             If it goes on, replace the card or disk"
    )


def size(count: int) -> str:
    """A number of bytes for the eye: `12.3 MB`."""
    for unit, each in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if count >= each:
            return f"{count / each:.1f} {unit}"
    return f"{count} B"
