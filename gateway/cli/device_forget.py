"""Forget a device that was taken away for good, so that nobody waits for it. If it is heard again, it is back.

A device that the configuration names is expected again after the next start: take it out of `devices` there.

Exit code: 0 forgotten, 1 there is no such device, 2 gatewayd does not answer.

example: gatewayctl devices forget boiler-7
"""

import argparse
import json
import sys

from gateway.control import ControlError, Refused, ask, find_socket


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    parser.add_argument("device", metavar="DEVICE", help="its name, as `gatewayctl devices list` shows it")
    parser.add_argument("--source", default="", help="only the one of this source (default: of all)")
    parser.add_argument(
        "--json", action="store_true", help="print the sources that forgot it as one JSON object"
    )
    parser.add_argument(
        "--socket", default="", help="control socket of the daemon (default: where it usually is)"
    )


def run(options: argparse.Namespace) -> int:
    """Ask the daemon to forget it."""
    request = {"verb": "forget device", "device": options.device, "source": options.source}
    try:
        sources = ask(find_socket(options.socket), request)["sources"]
    except ControlError as error:
        sys.stderr.write(f"{error}\n")
        return 1 if isinstance(error, Refused) else 2
    if options.json:
        sys.stdout.write(json.dumps({"device": options.device, "sources": sources}) + "\n")
    else:
        sys.stdout.write(f"forgotten: {options.device} of {', '.join(sources)}\n")
    return 0
