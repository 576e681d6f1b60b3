"""Try a configuration on recorded bytes: prints the readings, and what would become dead letters.

Reads FILE, or standard input, of any length: a capture (`gatewayctl capture`), or the bytes as they came. A capture says
itself how its source reads them, and when each piece came; options and --config say otherwise. A line of the output is a
reading (device, sensor, time in nanoseconds since 1970 UTC, value, unit, with tabs between them; a text that might be
taken for a number, a boolean or nothing is in double quotes), or begins with `!` and is a reject: reason, size in bytes,
beginning. With --json each line is an object. Totals go to standard error.

Exit code: 0 if everything was decoded, 1 if there were rejects or damage in a capture, 2 if it could not be tried.

examples:
  gatewayctl decode line-1.capture
  gatewayctl decode --config /etc/gateway/gateway.toml line-1.capture
  gatewayctl capture line-1 - | gatewayctl decode --decoder '{ kind = "csv", columns = ["t", "h"] }'
  gatewayctl decode --decoder keyvalue lines.txt
  gatewayctl decode --framing '{ kind = "fixed", length = 8, checksum = "crc16-modbus" }' --decoder ... bytes.bin
  gatewayctl decode --config /etc/gateway/gateway.toml --source line-1 lines.txt
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from devices.errors import DecodeError, SettingError
from devices.framing import Damaged
from devices.reading import Quality, Reading
from devices.source import Origin, Piece
from gateway import capture
from gateway.cli.trial import Trial, find_trial
from gateway.config import ConfigError

PIECE: Final = 65_536
SHOWN: Final = 60
"""Bytes shown of a reject."""
NO_TEXTS: Final = frozenset({"true", "false", "null", "none", "nan", "inf", "infinity"})
"""Words that would pass for something else, in any case."""


class Outcome:
    """An Intake that decodes, counts, and holds what came of it until it is printed.

    Attributes:
        time: when what comes now was received, in nanoseconds since 1970 UTC.
    """

    def __init__(self) -> None:
        self.time = 0
        self.payloads = self.ignored = self.rejects = self.made = 0
        self._results: list[Reading | Damaged] = []

    def taken(self) -> list[Reading | Damaged]:
        """What came of it since this was asked last, in its order."""
        results, self._results = self._results, []
        return results

    def payload(
        self,
        data: bytes,
        origin: Origin,
        receipt: Any = None,  # noqa: ARG002
        quality: Quality = Quality.GOOD,  # noqa: ARG002
    ) -> None:
        """See devices.source.Intake."""
        try:
            readings = origin.decode(data, origin, self.time)
        except DecodeError as error:
            self.reject(data, origin, str(error), len(data))
        else:
            self.readings(readings)

    def readings(self, readings: Sequence[Reading], receipt: Any = None) -> None:  # noqa: ARG002
        """See devices.source.Intake."""
        self.payloads += 1
        self.ignored += not readings
        self.made += len(readings)
        self._results += readings

    def reject(self, data: bytes, origin: Origin, reason: str, size: int, receipt: Any = None) -> None:  # noqa: ARG002
        """See devices.source.Intake."""
        self.payloads += 1
        self.rejects += 1
        self._results.append(Damaged(data, reason, size))

    def ready(self) -> bool:
        """See devices.source.Intake."""
        return True

    def now(self) -> int:
        """See devices.source.Intake."""
        return self.time

    def connected(self) -> None:
        """See devices.source.Intake."""

    def __str__(self) -> str:
        decoded = self.payloads - self.ignored - self.rejects
        return (
            f"{self.payloads} payloads = {decoded} decoded + {self.ignored} ignored + {self.rejects} rejected; "
            f"{self.made} readings"
        )


class _Input:
    """The input. What was printed so far is shown before it waits for more."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read1(self, size: int) -> bytes:
        """See capture.Readable."""
        sys.stdout.flush()
        data: bytes = self._stream.read1(size)
        return data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="a capture, or the bytes as they came (default: standard input)",
    )
    parser.add_argument("--decoder", help="a name, or a table as in the configuration: '{ kind = ... }'")
    parser.add_argument("--framing", help="likewise: where a frame ends (default: line)")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="take decoder and framing from this configuration"
    )
    parser.add_argument("--source", metavar="NAME", help="and of it from this source")
    parser.add_argument("--device", default="", help="names the device of payloads that name none")
    parser.add_argument("--sensor", default="", help="names the sensor of payloads that name none")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(options: argparse.Namespace) -> int:
    """Decode the input and print what it makes."""
    path: Path | None = options.file
    outcome = Outcome()
    damage = False
    try:
        with nullcontext(sys.stdin.buffer) if path is None else path.open("rb") as stream:
            trial, pieces = _begin(options, _Input(stream))
            for piece in pieces:
                if isinstance(piece, capture.Unreadable):
                    damage = True
                    sys.stderr.write(_shown(piece))
                    continue
                if piece.missing:
                    sys.stderr.write(f"{piece.missing} bytes are missing: the capture could not keep up\n")
                outcome.time = piece.time
                trial.source.replay(piece, outcome)
                sys.stdout.write("".join(_line(one, as_json=options.json) for one in outcome.taken()))
        sys.stdout.flush()
    except (SettingError, ConfigError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        sys.stderr.write(f"{path or 'standard input'}: cannot be read: {error.strerror}\n")
        return 2
    sys.stderr.write(f"{outcome}\n")
    return 1 if outcome.rejects or damage else 0


def _begin(options: argparse.Namespace, stream: _Input) -> tuple[Trial, Iterable[Piece | capture.Unreadable]]:
    """How the input is read, and the input.

    Raises:
        SettingError, ConfigError: it cannot be as the options want it.
    """
    header, rest = capture.begin(stream)
    trial = find_trial(options, header)
    if header is None:
        return trial, _as_they_came(stream, rest)
    pieces = capture.pieces(stream, rest)
    return trial, _ended(pieces if trial.quiet is None else _quiet_after(trial.quiet, pieces), header.time)


def _as_they_came(stream: _Input, data: bytes) -> Iterator[Piece]:
    while data or (data := stream.read1(PIECE)):
        yield Piece(time.time_ns(), data=data)
        data = b""
    yield Piece(time.time_ns(), "lost", reason="the input ended")


def _quiet_after(
    gap: float, pieces: Iterable[Piece | capture.Unreadable]
) -> Iterator[Piece | capture.Unreadable]:
    """The pieces as if they had been read by a framing for which silences of `gap` seconds mean something; 0: none."""
    last = 0
    for piece in pieces:
        if isinstance(piece, Piece):
            if piece.event == "quiet":
                continue
            if last and 0 < gap * 1e9 <= piece.time - last:
                yield Piece(last + round(gap * 1e9), "quiet")
            last = piece.time
        yield piece


def _ended(pieces: Iterable[Piece | capture.Unreadable], began: int) -> Iterator[Piece | capture.Unreadable]:
    last = began
    for piece in pieces:
        if isinstance(piece, Piece):
            last = piece.time
        yield piece
    yield Piece(last, "lost", reason="the capture ended")


def _shown(lines: capture.Unreadable) -> str:
    if lines.torn:
        return f"line {lines.last} is torn: whoever wrote the capture ended in the middle of it; skipped\n"
    which = (
        f"line {lines.first} is" if lines.first == lines.last else f"lines {lines.first} to {lines.last} are"
    )
    return f"{which} not as a capture has them; skipped\n"


def _line(one: Reading | Damaged, *, as_json: bool) -> str:
    if isinstance(one, Damaged):
        start = repr(one.data[:SHOWN])[2:-1]
        if as_json:
            return json.dumps({"reject": one.reason, "size": one.size, "data": start}) + "\n"
        return f"! {one.reason}\t{one.size}\t{start}\n"
    if as_json:
        shown = {
            "device": one.device,
            "sensor": one.sensor,
            "time": one.time,
            "value": one.value,
            "unit": one.unit,
        }
        return json.dumps(shown) + "\n"
    return f"{one.device}\t{one.sensor}\t{one.time}\t{_value(one)}\t{one.unit}\n"


def _value(one: Reading) -> str:
    """As JSON has it; a text that cannot be taken for anything else stands without quotes."""
    value = one.value
    if type(value) is str and value.isprintable():
        plain = value[:1].isalpha() and value.lower() not in NO_TEXTS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
