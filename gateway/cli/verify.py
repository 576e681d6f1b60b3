"""Read the readings back from Kafka and say what is missing, repeated, or out of order, by gateway and device.

An independent look: it asks no gatewayd, only Kafka, and changes nothing there. It may run anywhere, while gateways work.

Exit code: 0 nothing wrong, 1 something missing, repeated, out of order or no reading at all, 2 it could not be read.

example: gatewayctl verify --bootstrap-servers kafka-1:9092 --topic readings --gateway pi-7
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the gateway's configuration, for [kafka] (default: $GATEWAY_CONFIG, else /etc/gateway/gateway.toml)",
    )
    parser.add_argument(
        "--bootstrap-servers",
        metavar="HOST:PORT",
        help="instead of those in the configuration, which need not exist",
    )
    parser.add_argument("--topic", help="the readings topic, instead of the one in the configuration")
    parser.add_argument("--gateway", default="", metavar="ID", help="this gateway only (default: all)")
    parser.add_argument("--json", action="store_true", help="print what was found as one JSON object")


def run(options: argparse.Namespace) -> int:
    """Read, count, and print."""
    import gateway.plain_structlog  # noqa: F401, PLC0415 - before all that import structlog: quicker
    from gateway.cli.audit import audit  # noqa: PLC0415 - the Kafka client, not for --help

    return audit(options)
