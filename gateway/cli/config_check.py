"""Check a configuration, down to the settings of every source, without touching a port or a network.

Exit code: 0 if it is accepted, 2 with what is wrong, in which file, and what is allowed.

example: gatewayctl config check /etc/gateway/gateway.toml
"""

import argparse
import json
import sys
from pathlib import Path

from gateway.cli.effective import add_file, is_detect
from gateway.config_files import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    add_file(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Check the file and say what it holds."""
    import gateway.plain_structlog  # noqa: F401, PLC0415 - before all that import structlog: quicker

    path: Path = options.file
    try:
        if is_detect(path):
            from gateway.detect.checking import check_detect as check  # noqa: PLC0415 - what is needed, no more
        else:
            from gateway.checking import check_gateway as check  # noqa: PLC0415
        checked = check(path)
    except ConfigError as error:
        if options.json:
            refusal = {"accepted": False, "files": [], "problem": str(error), "found": "", "advice": []}
            sys.stdout.write(json.dumps(refusal, indent=2) + "\n")
        else:
            sys.stderr.write(f"{error}\n")
        return 2
    if options.json:
        accepted = {"accepted": True, "files": checked.files, "problem": "", "found": checked.found}
        sys.stdout.write(json.dumps({**accepted, "advice": checked.advice}, indent=2) + "\n")
    else:
        sys.stdout.write(checked.text())
    return 0
