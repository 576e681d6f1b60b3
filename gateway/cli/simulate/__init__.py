"""Pretend to be devices: send readings to an MQTT broker or into a pseudo-terminal, and put on record what is wrong with them.

--to mqtt://HOST:PORT/PREFIX publishes with QoS 1: one JSON message a device under PREFIX/DEVICE, which a source reads
with topics = ["PREFIX/{device}"]; with --single one a reading under PREFIX/DEVICE/SENSOR. --to pty makes a
pseudo-terminal and prints its name: a serial source reads lines from it.

Without --config there are devices with a temperature, a humidity and a vibration each. Records go to standard output,
everything else to standard error. Ctrl-C ends it in order.

Exit code: 0 if all that was sent was taken by the other side, 1 if not, 2 if it could not begin.

examples:
  gatewayctl simulate --to mqtt://localhost/plant --devices 10000 --rate 50000 --for 60s
  gatewayctl simulate --to pty --link /tmp/line-1 --faults spike,torn,disconnect --faults-per-hour 60 --truth truth.jsonl
  gatewayctl simulate --to mqtt://localhost/plant --config /etc/gateway/gateway.toml --source simulator
  gatewayctl simulate --to pty --replay recorded.csv --speed 60
"""

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from devices.errors import SettingError, SourceRefused
from devices.framing.checksum import CHECKSUMS
from gateway.cli.lengths import seconds
from gateway.cli.simulate.trouble import SimulateError
from gateway.config import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "--to", required=True, metavar="TARGET", help="mqtt://[USER:PASSWORD@]HOST[:PORT][/PREFIX], or pty"
    )
    what = parser.add_argument_group("what is sent")
    what.add_argument("--devices", type=_count, metavar="N", help="how many devices (default: 3)")
    what.add_argument(
        "--rate",
        type=_rate,
        metavar="R",
        help="readings a second, of all devices (default: one of each sensor)",
    )
    what.add_argument(
        "--for", dest="length", type=seconds, metavar="TIME", help="such as 60s (default: until Ctrl-C)"
    )
    what.add_argument(
        "--seed", type=int, metavar="N", help="the same seed gives the same values at the same times"
    )
    what.add_argument("--config", type=Path, metavar="FILE", help="take the devices from this configuration")
    what.add_argument("--source", metavar="NAME", help="and of it from this source, of kind simulator")
    what.add_argument(
        "--replay", metavar="FILE", help="send the rows of this CSV file instead: docs/simulator.md"
    )
    what.add_argument(
        "--speed",
        type=_speed,
        metavar="S",
        help="of the replay; 60: a minute a second; 0: as fast as it goes",
    )
    how = parser.add_argument_group("how it is sent")
    how.add_argument("--format", choices=["json", "keyvalue"], help="(default: mqtt json, pty keyvalue)")
    how.add_argument(
        "--single", action="store_true", help="each reading by itself, not all of a device together"
    )
    how.add_argument(
        "--checksum",
        choices=[kind for kind in CHECKSUMS if kind != "nmea"],
        help="pty: at the end of each line, in hex digits",
    )
    how.add_argument("--link", type=Path, metavar="PATH", help="pty: a stable name that leads to the port")
    wrong = parser.add_argument_group("what goes wrong")
    wrong.add_argument(
        "--faults", metavar="KINDS", help="taken in turn, such as spike,garbage: docs/simulator.md"
    )
    wrong.add_argument("--faults-per-hour", type=_rate, metavar="N", help="in all devices together")
    wrong.add_argument("--truth", metavar="FILE", help="append a record of each fault; -: to standard output")
    parser.add_argument("--json", action="store_true", help="print what it came to as one JSON object")


def run(options: argparse.Namespace) -> int:
    """Simulate, and print what it came to."""
    from gateway.cli.simulate.perform import perform  # noqa: PLC0415 - not for --help

    try:
        report = perform(options, _say)
    except (SettingError, ConfigError, SimulateError, SourceRefused) as error:
        sys.stderr.write(f"gatewayctl simulate: {error}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(report)) + "\n")
    else:
        sys.stderr.write("\n".join(report.sentences()) + "\n")
    problems = report.problems()
    for problem in problems:
        sys.stderr.write(f"gatewayctl simulate: {problem}\n")
    return 1 if problems else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _number(text: str, low: float, high: float) -> float:
    """A number from `low` to `high`.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    with suppress(ValueError):
        if low <= float(text) <= high:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text} is not allowed: {low:g} to {high:,.0f}")


def _count(text: str) -> int:
    number = _number(text, 1, 1_000_000)
    if number % 1:
        raise argparse.ArgumentTypeError(f"{text} is not allowed: whole numbers only")
    return int(number)


def _rate(text: str) -> float:
    return _number(text, 0.001, 10_000_000)


def _speed(text: str) -> float:
    return _number(text, 0, 1_000_000)
