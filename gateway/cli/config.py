"""Check a configuration file, down to the settings of every source, without touching a port or a network.

Exit code: 0 if it is accepted, 2 with what is wrong, where, and what is allowed.

example: gatewayctl config check /etc/gateway/gateway.toml
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from devices.serial_port.ports import better_name
from devices.source import Home
from gateway.config import ConfigError, GatewayConfig, Kafka, load
from gateway.detect.checking import advice, check_detect
from gateway.kafka.idempotent import IdempotentSink
from gateway.kafka.transactional import TransactionalSink
from gateway.sources import open_sources


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="check")
    check = verbs.add_parser("check", help="check gateway.toml, or detect.toml if that is its name")
    check.add_argument("file", type=Path, help="the file, such as /etc/gateway/gateway.toml")


def run(options: argparse.Namespace) -> int:
    """Check the file and say what it holds."""
    path: Path = options.file
    try:
        found = _check_detect(path) if path.name.startswith("detect") else _check_gateway(path)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{path}: accepted: {found}\n")
    return 0


def _check_gateway(path: Path) -> str:
    config = load(path, GatewayConfig)
    specs = open_sources(config, path, Home("check"))
    _advise(config)
    exactly_once = config.kafka.delivery == "exactly-once"
    _check_client(config.kafka, path, TransactionalSink if exactly_once else IdempotentSink)
    return f"{len(specs)} source(s): {', '.join(spec.source.name for spec in specs)}"


def _advise(config: GatewayConfig) -> None:
    """Name what is allowed and unwise: the name of a port that may be another adapter's tomorrow."""
    for name, table in config.sources.items():
        if table["kind"] == "serial" and (better := better_name(table["port"])):
            sys.stdout.write(
                f"sources.{name}.port: {table['port']} may lead to another adapter tomorrow; this one is always {better}\n"
            )


def _check_detect(path: Path) -> str:
    config = check_detect(path)
    sys.stdout.write(advice(config))
    return f"{len(config.rules)} table(s) of rules"


def _check_client(kafka: Kafka, path: Path, sink: Callable[[Kafka, str], object]) -> None:
    """Whether the Kafka client takes its options. Without a server to connect to it stays off the network.

    Raises:
        ConfigError: it does not.
    """
    try:
        sink(msgspec.structs.replace(kafka, bootstrap_servers=""), "check")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
