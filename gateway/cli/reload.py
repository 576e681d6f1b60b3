"""Have the daemon read its configuration anew, and wait until it goes by it. What is refused changes nothing.

It is what `systemctl reload gateway` runs. docs/configuration.md tells what is applied how, and what takes a restart.

Exit code: 0 it goes by what is on disk, 1 that is refused, 2 gatewayd cannot be asked, or not by this user.

example: gatewayctl reload
"""

import argparse
import json
import sys
from typing import Final

from gateway.control import ControlError, ask, find_socket
from gateway.terminal import plain

PATIENCE: Final = 120.0
"""Seconds: a round and the sources each have ten to end in order, and another reload may come first."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--socket", default="", help="control socket of the daemon (default: where it usually is)"
    )


def run(options: argparse.Namespace) -> int:
    """Ask the daemon and say what became of it."""
    try:
        outcome = ask(find_socket(options.socket), {"verb": "reload"}, timeout=PATIENCE)
    except ControlError as error:
        sys.stderr.write(f"gatewayctl reload: {error}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps(outcome, indent=2) + "\n")
    elif outcome["accepted"]:
        sys.stdout.write(f"{plain(outcome['sentence'])}\n")
    else:
        sys.stderr.write(f"refused, and nothing was changed: {plain(outcome['sentence'])}\n")
    return 0 if outcome["accepted"] else 1
