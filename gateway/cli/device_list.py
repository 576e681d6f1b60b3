"""Show each device: its source, when it was last heard, how often it usually is, and what that means.

States: regular, irregular (says something when something happens), learning (not enough heard to tell), silent, away (its
source is), awaited (the configuration names it), missing (the same, and it was not heard for ten minutes).

Exit code: 0 shown, 2 gatewayd does not answer.

example: gatewayctl devices list --json | jq '.devices[] | select(.state == "silent") | .device'
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.control import ControlError, ask, find_socket
from gateway.spans import span

WIDTH: Final = 30
"""Columns of a name; longer ones push the others aside."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    parser.add_argument("--json", action="store_true", help="print all of them as one JSON object")
    parser.add_argument(
        "--socket", default="", help="control socket of the daemon (default: where it usually is)"
    )


def run(options: argparse.Namespace) -> int:
    """Ask the daemon, page by page, and print."""
    try:
        devices = _all(find_socket(options.socket))
    except ControlError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps({"devices": devices}, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(lines(devices)) + "\n")
    return 0


def lines(devices: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The devices for the eye."""
    if not devices:
        yield "no device was heard since the start of gatewayd"
        return
    yield f"{'DEVICE':<{WIDTH}} {'SOURCE':<20} {'STATE':<10} {'LAST HEARD':<12}  USUALLY"
    for one in devices:
        age, usual = one["last_heard_age_s"], one["usual_interval_s"]
        last = "never" if age is None else f"{span(age)} ago"
        often = "" if usual is None else f"every {span(usual)}"
        yield f"{one['device']:<{WIDTH}} {one['source']:<20} {one['state']:<10} {last:<12}  {often}".rstrip()


def _all(path: Path) -> list[dict[str, Any]]:
    """All devices. What is heard first while they are asked for may be missing."""
    devices: list[dict[str, Any]] = []
    after = ["", ""]
    while True:
        answer = ask(path, {"verb": "devices", "after": after})
        devices += answer["devices"]
        if not answer["more"]:
            return devices
        after = [devices[-1]["source"], devices[-1]["device"]]
