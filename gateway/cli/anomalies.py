"""Show the anomalies that gateway-detect found: those that are open, or with `--all` those that are over too.

They are read from the topic of anomalies in Kafka: this may run anywhere, while gateways work. An id is shown as far as it
differs from all others; `gatewayctl ack`, `accept` and `fault` take it so. Many anomalies of one gateway at once are a
storm and shown as one line; `--device`, `--sensor`, `--rule` and `--grade` show each.

Exit code: 0 none of those listed is open, 1 at least one is, 2 they could not be read.

examples: gatewayctl anomalies --config /etc/gateway/detect.toml
          gatewayctl anomalies --all --since 12h --device 'boiler-*'
          gatewayctl anomalies --follow --json | jq -r .sentence
"""

import argparse

from gateway.cli.options import add_kafka_config
from gateway.moments import point


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    add_kafka_config(parser)
    parser.add_argument("--all", action="store_true", help="those that are cleared too")
    parser.add_argument(
        "--since",
        type=point,
        default=-(2**63),
        metavar="TIME",
        help="only those of which something was said since then: 90min, 12h, 7d, or a time such as 2026-01-31T08:00 (local)",
    )
    parser.add_argument(
        "--device", default="*", metavar="PATTERN", help="of these devices, such as 'boiler-*'"
    )
    parser.add_argument("--sensor", default="*", metavar="PATTERN", help="of these sensors")
    parser.add_argument(
        "--rule", default="*", metavar="PATTERN", help="of this rule, such as limits or 'spike*'"
    )
    parser.add_argument("--grade", default="*", choices=("alarm", "advisory"), help="of this grade")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="then print each event as it comes, until Ctrl-C; a Kafka that is away is waited for",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object a line: the record, and `state`"
    )


def run(options: argparse.Namespace) -> int:
    """Read, print, and go on with what comes."""
    import gateway.plain_structlog  # noqa: F401, PLC0415 - before all that import structlog: quicker
    from gateway.cli.anomaly_list import show  # noqa: PLC0415 - the Kafka client, not for --help

    return show(options)
