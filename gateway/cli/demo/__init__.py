"""Run the whole way on this machine, with nothing to install and nothing left behind.

Simulated devices, some of them on a real pseudo-terminal; gatewayd; an embedded Kafka in memory, which is no place
for data that matters; and gateway-detect, which finds the faults that are injected.

Exit code: 0 if the ledger balances, every delivered reading was read back from Kafka, and an injected fault was
found; 1 if not; 130 if stopped before data flowed.

example: gatewayctl demo --for 30s --json
"""

import argparse
import json
import sys

import msgspec

from gateway.cli.lengths import seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "--for",
        dest="length",
        type=seconds,
        metavar="TIME",
        help="how long data flows, such as 30s or 2m (default: until Ctrl-C)",
    )
    parser.add_argument("--json", action="store_true", help="print what it came to as one JSON object")


def run(options: argparse.Namespace) -> int:
    """Perform the demo and print the verdict."""
    # These load the Kafka client and the drawing, which no other command needs.
    from gateway.cli.demo.show import perform  # noqa: PLC0415
    from gateway.cli.demo.trouble import DemoError  # noqa: PLC0415
    from gateway.cli.demo.view import open_view  # noqa: PLC0415
    from gateway.cli.stopping import StopRequest  # noqa: PLC0415

    try:
        with StopRequest() as stop, open_view(plain=options.json) as view:
            report = perform(options.length, view, stop)
    except DemoError as error:
        sys.stderr.write(f"gatewayctl demo: {error}\n")
        return 1
    problems = report.problems()
    if options.json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(report)) + "\n")
    else:
        sys.stdout.write("\n".join(report.sentences()) + "\n")
    for problem in problems:
        sys.stderr.write(f"gatewayctl demo: {problem}\n")
    return 1 if problems else 0
