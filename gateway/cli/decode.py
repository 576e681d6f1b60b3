"""Try a decoder on recorded bytes: prints the readings, and what would become dead letters.

Reads FILE, or standard input, of any length. A line of the output is a reading (device, sensor, time in nanoseconds since
1970 UTC, value, unit, with tabs between them), or begins with `!` and is a reject: reason, size in bytes, beginning.
With --json each line is an object. Totals go to standard error.

Exit code: 0 if everything was decoded, 1 if there were rejects, 2 if it could not be tried.

examples:
  gatewayctl decode --decoder keyvalue lines.txt
  gatewayctl decode --decoder '{ kind = "csv", columns = ["t", "h"] }' --json < rows.csv
  gatewayctl decode --framing '{ kind = "fixed", length = 8, checksum = "crc16-modbus" }' --decoder ... capture.bin
  gatewayctl decode --config /etc/gateway/gateway.toml --source line-1 lines.txt
"""

import argparse
import json
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from devices.decoders import make_decoder
from devices.errors import DecodeError, SettingError
from devices.framing import MAX_FRAME, Damaged, Framing, make_framing
from devices.reading import NAME_LIMIT, Reading, is_name
from devices.source import Origin
from gateway.cli.arguments import source_settings
from gateway.config import ConfigError

PIECE: Final = 65_536
SHOWN: Final = 60
"""Bytes shown of a reject."""


class Trial(msgspec.Struct):
    """Runs bytes through a framing and a decoder, and counts."""

    framing: Framing
    origin: Origin
    payloads: int = 0
    ignored: int = 0
    rejects: int = 0
    made: int = 0

    def results(self, stream: BinaryIO) -> Iterator[list[Reading | Damaged]]:
        """What becomes of each piece of the input, in its order."""
        while data := stream.read1(PIECE) if hasattr(stream, "read1") else stream.read(PIECE):
            yield [one for frame in self.framing.push(data) for one in self._decoded(frame)]
        rest = self.framing.reset("the input ended in the middle of a frame")
        yield [one for frame in rest for one in self._decoded(frame)]

    def _decoded(self, frame: bytes | Damaged) -> list[Reading] | list[Damaged]:
        self.payloads += 1
        if isinstance(frame, bytes):
            try:
                readings = self.origin.decode(frame, self.origin, time.time_ns())
            except DecodeError as error:
                frame = Damaged(frame, str(error), len(frame))
            else:
                self.made += len(readings)
                self.ignored += not readings
                return readings
        self.rejects += 1
        return [frame]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("file", nargs="?", type=Path, help="the bytes as they came (default: standard input)")
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
    try:
        trial = _trial(options)
        with nullcontext(sys.stdin.buffer) if path is None else path.open("rb") as stream:
            for results in trial.results(stream):
                sys.stdout.write("".join(_line(one, as_json=options.json) for one in results))
                sys.stdout.flush()
    except (SettingError, ConfigError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        sys.stderr.write(f"{path or 'standard input'}: cannot be read: {error.strerror}\n")
        return 2
    decoded = trial.payloads - trial.ignored - trial.rejects
    sys.stderr.write(
        f"{trial.payloads} payloads = {decoded} decoded + {trial.ignored} ignored + {trial.rejects} rejected; "
        f"{trial.made} readings\n"
    )
    return 1 if trial.rejects else 0


def _trial(options: argparse.Namespace) -> Trial:
    """What the options ask for.

    Raises:
        SettingError, ConfigError: it cannot be.
    """
    device, sensor = options.device, options.sensor
    if (options.decoder is None) == (options.config is None) or (options.config is None) != (
        options.source is None
    ):
        raise SettingError("", "give either --decoder, or --config and --source")
    framing: str | dict[str, Any] = "line"
    if options.decoder is not None:
        spec, key, max_frame = _spec(options.decoder, "--decoder"), "--decoder", MAX_FRAME
    else:
        name: str = options.source
        settings = _source(options.config, name)
        spec, key = settings.decoder, f"sources.{name}.decoder"
        device = device or settings.device or name
        sensor = sensor or getattr(settings, "sensor", "")
        framing, max_frame = getattr(settings, "framing", framing), getattr(settings, "max_frame", MAX_FRAME)
    if options.framing is not None:
        framing = _spec(options.framing, "--framing")
    device = device or "device"
    for option, given in (("--device", device), ("--sensor", sensor)):
        if given and not is_name(given):
            raise SettingError(
                option, f"{given!r} is no name; allowed: 1 to {NAME_LIMIT} printable characters"
            )
    origin = Origin("decode", "", device, sensor, make_decoder(spec, key))
    return Trial(make_framing(framing, "--framing", max_frame), origin)


def _spec(text: str, option: str) -> str | dict[str, Any]:
    """A name, or the inline table that the text of an option holds."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        table: dict[str, Any] = tomllib.loads(f"spec = {text}")["spec"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingError(option, f"is no TOML table: {error}") from None
    return table


def _source(path: Path, name: str) -> Any:
    """The settings of a source that has a decoder."""
    settings = source_settings(path, name)
    if not hasattr(settings, "decoder"):
        raise ConfigError(f"{path}: sources.{name}: has no decoder: its kind makes readings of its own")
    return settings


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
    value = one.value if type(one.value) is str and one.value.isprintable() else json.dumps(one.value)
    return f"{one.device}\t{one.sensor}\t{one.time}\t{value}\t{one.unit}\n"
