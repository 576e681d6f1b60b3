"""Options that several commands have."""

import argparse
from pathlib import Path


def add_kafka_config(parser: argparse.ArgumentParser) -> None:
    """The option that says where Kafka is."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="detect.toml or gateway.toml, for [kafka] (default: $DETECT_CONFIG, else /etc/gateway/detect.toml, else "
        "the same of the gateway)",
    )
