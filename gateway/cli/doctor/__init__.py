"""Look at everything that the gateway needs, and say what is wrong and what mends it.

Serial ports, MQTT brokers, Kafka, disk, clock, board, Wi-Fi, the service and its configuration. The running service is not
disturbed: no port is opened, and brokers are asked under names of their own. What an ordinary user cannot see is said;
with sudo all is seen. It takes a few seconds, and no more than fifteen where nothing answers.

Exit code: 0 nothing is wrong, 1 warnings, 2 problems.

examples:
  sudo gatewayctl doctor
  gatewayctl doctor --json | jq -r '.findings[] | select(.severity == "problem") | .found, .fix'
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from gateway.config_files import usual_path
from gateway.terminal import coloured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, with what is well too")
    parser.add_argument(
        "--config",
        type=Path,
        default=usual_path("gateway"),
        help="configuration of gatewayd (default: $GATEWAY_CONFIG, else /etc/gateway/gateway.toml); gateway-detect is looked "
        "at too if a detect.toml lies beside it",
    )
    parser.add_argument(
        "--socket", default="", help="control socket of the daemon (default: where it usually is)"
    )


def run(options: argparse.Namespace) -> int:
    """Look, and print."""
    # What takes long to import is not needed for --help.
    import gateway.plain_structlog  # noqa: F401, PLC0415 - before all that import structlog: quicker
    from gateway.cli.doctor.checks import findings  # noqa: PLC0415
    from gateway.cli.doctor.here import look_around  # noqa: PLC0415
    from gateway.cli.doctor.machine import Machine  # noqa: PLC0415
    from gateway.cli.doctor.shown import EXIT_CODES, as_json, lines, worst  # noqa: PLC0415

    began = time.monotonic()
    found = findings(look_around(options.config, options.socket, Machine()))
    if options.json:
        sys.stdout.write(json.dumps(as_json(found, time.monotonic() - began), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(lines(found, colour=coloured(sys.stdout))) + "\n")
    sys.stdout.flush()
    code = EXIT_CODES[worst(found)]
    if any(one.finding.name == "check hangs" for one in found):
        os._exit(code)  # a thread of the Kafka client that hangs would keep us
    return code
