"""Show what is installed as a service, and what `gatewayctl service install` would change.

Exit code: 0 installed and up to date, 1 `install` would change something, 2 it cannot be installed here.

example: gatewayctl service show --json | jq -r '.to_do[]'
"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from gateway.cli.service import machine
from gateway.cli.service.files import SERVICES, UNITS, is_ours
from gateway.cli.service.install import steps
from gateway.cli.service.machine import ServiceError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    parser.add_argument("--json", action="store_true", help="print it as one JSON object")


def run(options: argparse.Namespace) -> int:
    """Look, and print."""
    problem, to_do = "", []
    try:
        machine.check_system()
        machine.check_program()
        to_do = [one.what for one in steps()]
    except (OSError, ServiceError) as error:
        problem = str(error)
    report = {
        "program": str(machine.scripts() / "gatewayd"),
        "units": [str(UNITS / name) for name in SERVICES if is_ours(UNITS / name)],
        "running": [] if problem else [one.name for one in machine.running()],
        "to_do": to_do,
        "problem": problem,
    }
    if options.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(report))
    return 2 if problem else int(bool(to_do))


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"program    {report['program']}"
    yield f"units      {', '.join(report['units']) or 'none'}"
    yield f"running    {', '.join(report['running']) or 'none'}"
    if report["problem"]:
        yield f"install    refused: {report['problem']}"
    elif report["to_do"]:
        yield "install    would"
        yield from (f"             {one}" for one in report["to_do"])
    else:
        yield "install    nothing to do"
