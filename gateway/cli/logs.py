"""Show what gatewayd logs, or gateway-detect: what the journal holds of it, the last 1000 events unless --since says otherwise.

Given twice, an option means either; different options all have to hold. What each event means, and what to do about it, is
in docs/logging.md. Filters see what the service says itself; without them there is also what systemd says of it.

Exit code: 0 if it could look, whether or not there was something; 1 if journalctl refused, and said why; 2 if there is no
journal.

examples:
  gatewayctl logs --follow --priority warning
  gatewayctl logs --source boiler-room --event "source lost" --since 1d
  gatewayctl logs --detect --device boiler-7 --json | jq -r .MESSAGE
"""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final

from gateway.journal import PRIORITY

UNITS: Final = ("gateway.service", "gateway-detect.service")

FILTERS: Final = ("source", "device", "sensor", "event")

FOLDERS: Final = (Path("/run/log/journal"), Path("/var/log/journal"))
"""Where journald keeps it: until the next boot, and for longer."""

LINES: Final = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    for name in FILTERS:
        text = (
            'name of the event, as in docs/logging.md: "source lost"'
            if name == "event"
            else f"of this {name}"
        )
        parser.add_argument(f"--{name}", type=_value, action="append", default=[], metavar="NAME", help=text)
    parser.add_argument("--priority", choices=PRIORITY, help="what is at least as urgent as this")
    parser.add_argument(
        "--since",
        type=_since,
        metavar="TIME",
        help='30m, 2h or 1d ago; or "2026-11-27 06:00", today, yesterday',
    )
    parser.add_argument("--follow", action="store_true", help="go on with what is logged from now on")
    parser.add_argument(
        "--detect", action="store_true", help="what gateway-detect logs, in place of gatewayd"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line, with all fields of the journal"
    )


def run(options: argparse.Namespace) -> int:
    """Become journalctl, with its exit code, if there is something that it could read."""
    program = shutil.which("journalctl")
    if program is None:
        return _nothing("journalctl is not installed")
    if not any(_keeps_one(folder) for folder in FOLDERS):
        return _nothing(f"no journal is kept: there is none in {FOLDERS[0]} nor in {FOLDERS[1]}")
    sys.stdout.flush()
    return os.execv(program, ["journalctl", *arguments(options)])  # noqa: S606 - no shell: each argument arrives as it is


def arguments(options: argparse.Namespace) -> list[str]:
    """What journalctl is asked for. Nothing a person gives is taken for an option, whatever it is."""
    found = [f"--unit={UNITS[options.detect]}"]
    if options.priority:
        found.append(f"--priority={PRIORITY[options.priority]}")
    if options.since:
        found.append(f"--since={options.since}")
    if options.follow:
        found += ["--follow", "--no-tail"] if options.since else ["--follow"]
    elif not options.since:
        found.append(f"--lines={LINES}")
        found += [] if options.json else ["--pager-end"]
    if options.json:
        found.append("--output=json")
    return found + [f"{name.upper()}={value}" for name in FILTERS for value in getattr(options, name)]


def _keeps_one(folder: Path) -> bool:
    """Whether a journal is in there; journalctl finds none and ends as if it had looked."""
    try:
        machines = [one for one in folder.iterdir() if one.is_dir()]
        return any(
            file.name.endswith((".journal", ".journal~")) for one in machines for file in one.iterdir()
        )
    except PermissionError:
        return True  # journalctl says what is to be done about that
    except OSError:
        return False


def _value(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("a name is needed; leave the option out for all")
    return text


def _since(text: str) -> str:
    """As journalctl understands it."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a time is needed, such as 30m, or today")
    return f"-{text}" if re.fullmatch(r"[0-9]+(\.[0-9]+)?[smhd]", text) else text


def _nothing(problem: str) -> int:
    sys.stderr.write(
        f"gatewayctl logs: {problem}; where systemd does not run the services, what they log is on their stderr, as text or, "
        'with format = "json" in [log], as JSON\n'
    )
    return 2
