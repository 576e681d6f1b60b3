"""List the serial ports of this machine: what they are, who else uses them, and how to configure them.

No port is opened: that alone can restart the board behind it. Pseudo-terminals and serial servers on the network are
not listed. As root it sees what programs of all users have open.

Exit code: 0 if there is a port, 1 if there is none.

example: gatewayctl devices discover --json | jq -r '.ports[].port'
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")


def run(options: argparse.Namespace) -> int:
    """Look, and print."""
    from gateway.cli.discover import show  # noqa: PLC0415 - other verbs do not need what it imports

    return show(as_json=options.json)
