"""Show readings as they come in, until Ctrl-C: when each was measured, its source, device, sensor, value, and what is unusual.

The running gatewayd is asked for them, before they go to Kafka: this works while Kafka is away. It goes on as before; of what
comes faster than it can be shown, some is left out, and stderr says how much. PATTERN is that of a shell, in quotes:
'boiler-*'. With --json each reading is one JSON object a line, with the keys of the readings topic.

Exit code: 0 if it ended as it was asked to (Ctrl-C, --for, --limit), 1 if gatewayd ended before, 2 if it never began.

examples:
  gatewayctl tail
  gatewayctl tail plant --device 'boiler-*' --sensor temperature
  gatewayctl tail --json --for 30s | jq -r .device | sort | uniq -c
"""

import argparse
import contextlib
import json
import socket
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

from gateway.cli.lengths import seconds
from gateway.control import REQUEST_TIMEOUT, ControlError, explained, find_socket, parsed, send
from gateway.terminal import plain

WIDEST: Final = 30
"""Columns of a name at most; longer ones push the rest aside."""

TURN: Final = 65_536


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "source", nargs="?", default="", metavar="SOURCE", help="only what this source brings"
    )
    parser.add_argument(
        "--device", default="", metavar="PATTERN", help="only these devices, such as 'boiler-*'"
    )
    parser.add_argument("--sensor", default="", metavar="PATTERN", help="only these sensors")
    parser.add_argument("--limit", "-n", type=_count, metavar="N", help="end after so many readings")
    parser.add_argument("--for", type=seconds, dest="seconds", metavar="TIME", help="end after 90s, 5m or 1h")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument(
        "--socket", default="", help="control socket of the daemon (default: where it usually is)"
    )


def run(options: argparse.Namespace) -> int:
    """Print what comes until the end that was asked for."""
    ends = time.monotonic() + options.seconds if options.seconds else None
    shown, show = 0, _as_json if options.json else Columns()
    began = False
    try:
        with contextlib.closing(_lots(find_socket(options.socket), options, ends)) as lots:
            for lot in lots:
                began = True
                readings = [one for one in lot if _is_reading(one)]
                if options.limit:
                    readings = readings[: options.limit - shown]
                sys.stdout.write("".join(map(show, readings)))
                sys.stdout.flush()
                shown += len(readings)
                if shown == options.limit:
                    break
    except KeyboardInterrupt:
        return 0
    except ControlError as error:
        sys.stderr.write(f"gatewayctl tail: {error}\n")
        return 1 if began else 2
    return 0


def _lots(
    path: Path, options: argparse.Namespace, ends: float | None
) -> Generator[list[dict[str, Any]], None, None]:
    """What gatewayd sends, as much at a time as is there, until `ends`. The first one is empty: it begins.

    Raises:
        ControlError: it does not answer, says no, or ends.
    """
    request = {
        "verb": "tail",
        "source": options.source,
        "device": options.device,
        "sensor": options.sensor,
    }
    with explained(path), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(REQUEST_TIMEOUT)
        send(link, path, request)
        held = b""
        while b"\n" not in held:
            held += _more(link)
        first, _, held = held.partition(b"\n")
        parsed(first, path)
        yield []
        while ends is None or time.monotonic() < ends:
            *lines, held = held.split(b"\n")
            if lines:
                yield [json.loads(line) for line in lines]
            link.settimeout(None if ends is None else max(0.001, ends - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                held += _more(link)


def _more(link: socket.socket) -> bytes:
    part = link.recv(TURN)
    if not part:
        raise ControlError("gatewayd ended")
    return part


def _is_reading(line: dict[str, Any]) -> bool:
    if "left_out" in line:
        sys.stderr.write(
            f"gatewayctl tail: {line['left_out']} readings are left out here: they came too fast\n"
        )
    return "value" in line


def _as_json(reading: dict[str, Any]) -> str:
    return json.dumps(reading) + "\n"  # in ASCII, which does no terminal any harm


class Columns:
    """Readings for the eye, one below the other: a column is as wide as its longest name so far."""

    def __init__(self) -> None:
        self._widths = [0, 0, 0]
        self._day = time.strftime("%F")

    def __call__(self, reading: dict[str, Any]) -> str:
        """One line."""
        names = [plain(reading[key]) for key in ("source", "device", "sensor")]
        self._widths = [
            max(width, min(WIDEST, len(name))) for width, name in zip(self._widths, names, strict=True)
        ]
        columns = "  ".join(name.ljust(width) for width, name in zip(self._widths, names, strict=True))
        unit, flags = plain(reading.get("unit", "")), ", ".join(reading.get("flags", ()))
        rest = " ".join(filter(None, [value_text(reading["value"]), unit, f"({flags})" if flags else ""]))
        return f"{moment(reading['time'])}  {columns}  {rest}\n"


def value_text(value: float | bool | str) -> str:  # noqa: FBT001 - a value, and no flag
    """A value as JSON has it, so that a text is no number; harmless for a terminal."""
    return plain(json.dumps(value, ensure_ascii=False))


def moment(nanoseconds: int) -> str:
    """A point in time as the clock on the wall shows it: with the day, unless that is today."""
    try:
        local = time.localtime(nanoseconds // 1_000_000_000)
    except (OverflowError, ValueError, OSError):
        return f"{nanoseconds} ns"
    day = time.strftime("%F ", local)
    today = time.strftime("%F ")
    return f"{'' if day == today else day}{time.strftime('%T', local)}.{nanoseconds // 1_000_000 % 1000:03}"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of readings, such as 10")
    return int(text)
