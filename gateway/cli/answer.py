"""What the commands share that say something about an anomaly."""

import argparse
from typing import Final, Literal

from gateway.cli.options import add_kafka_config

LONGEST_WAIT: Final = 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of these commands."""
    parser.add_argument("id", metavar="ID", help="as `gatewayctl anomalies` shows it, or the beginning of it")
    add_kafka_config(parser)
    parser.add_argument("--by", default="", metavar="NAME", help="who says so (default: the user)")
    parser.add_argument(
        "--wait", type=_seconds, default=10.0, metavar="SECONDS", help="for an answer (default: %(default)g)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print who answered, and who did not, as one JSON object"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not allowed: must be seconds, from 0 to {LONGEST_WAIT}"
        )
    return seconds


def answer(verb: Literal["ack", "accept", "fault"], options: argparse.Namespace) -> int:
    """Find the anomaly, say it, and wait."""
    import gateway.plain_structlog  # noqa: F401, PLC0415 - before all that import structlog: quicker
    from gateway.cli.anomaly_answer import answer as say  # noqa: PLC0415 - the Kafka client, not for --help

    return say(verb, options)
