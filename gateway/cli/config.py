"""Check a configuration file, down to the settings of every source, without touching a port or a network.

Exit code: 0 if it is accepted, 2 with what is wrong, where, and what is allowed.

example: gatewayctl config check /etc/gateway/gateway.toml
"""

import argparse
import sys
from pathlib import Path

from gateway.checking import check_gateway
from gateway.config import ConfigError
from gateway.detect.checking import check_detect


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="check")
    check = verbs.add_parser("check", help="check gateway.toml, or detect.toml if that is its name")
    check.add_argument("file", type=Path, help="the file, such as /etc/gateway/gateway.toml")


def run(options: argparse.Namespace) -> int:
    """Check the file and say what it holds."""
    path: Path = options.file
    try:
        checked = check_detect(path) if path.name.startswith("detect") else check_gateway(path)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(checked.text())
    return 0
