"""Show the versions of the gateway and of what it stands on, and where it is installed.

Exit code: 0.

example: gatewayctl version --json | jq -r .librdkafka
"""

import argparse
import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

LIBRARIES: Final = (
    "confluent-kafka",
    "paho-mqtt",
    "pyserial",
    "msgspec",
    "structlog",
    "tenacity",
    "zstandard",
    "rich",
    "numpy",
    "google-re2",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object; null: not installed")


def run(options: argparse.Namespace) -> int:
    """Look, and print."""
    found = versions()
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{name:<16} {one or 'not installed'}\n" for name, one in found.items()))
    return 0


def versions() -> dict[str, str | None]:
    """By name; None of what is not installed."""
    from gateway.kafka.library import librdkafka_version  # noqa: PLC0415 - not to be loaded for --help

    return {
        "gateway": version("iot-edge-gateway"),
        "python": platform.python_version(),
        "librdkafka": librdkafka_version(),
        **{name: _version(name) for name in LIBRARIES},
        "machine": platform.machine(),
        "kernel": platform.release(),
        "installed_in": str(Path(__file__).parents[2]),
        "interpreter": sys.executable,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
