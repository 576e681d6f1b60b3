"""Record what a source receives, raw: before framing and decoding, and with times. `gatewayctl decode FILE` tries it.

The running gatewayd is asked for it, and goes on as before: whoever reads it too slowly gets gaps, which are counted and
told. With --config the source is opened here, for where no gatewayd runs. It ends with --for or --bytes, or with Ctrl-C;
what came until then is in FILE, one JSON object a line (docs/capture.md). Raw data can hold secrets: only its owner may
read the file.

Exit code: 0 if it ended as it was asked to, 1 if it ended before, 2 if it never began.

examples:
  gatewayctl capture line-1 line-1.capture --for 60s
  gatewayctl capture plant - | gatewayctl decode
  gatewayctl capture --config /etc/gateway/gateway.toml line-1 line-1.capture
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from devices.errors import SettingError, SourceError
from gateway import capture
from gateway.cli.lengths import seconds
from gateway.config_files import ConfigError
from gateway.control import REQUEST_TIMEOUT, ControlError, explained, find_socket


class OutputError(Exception):
    """The capture cannot be written. The text says why."""


class Output:
    """Where a capture is written: whole lines only, unless the machine stops.

    Attributes:
        size, pieces: bytes received, in how many pieces.
        gaps, missing: how often pieces are missing, and how many bytes of them in all.
    """

    def __init__(self, file: str, *, force: bool) -> None:
        """Make `file`, which only its owner may read; `-` is standard output. `force`: it may exist, and is emptied.

        Raises:
            OutputError: it cannot be made.
        """
        self.size = self.pieces = self.gaps = self.missing = 0
        self._file = file
        if file == "-":
            self._descriptor = sys.stdout.fileno()
            return
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
        try:
            self._descriptor = os.open(file, flags, 0o600)
            if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                os.fchmod(self._descriptor, 0o600)
        except FileExistsError:
            raise OutputError(f"{file} exists: name another file, or replace it with --force") from None
        except OSError as error:
            raise OutputError(f"{file} cannot be written: {error.strerror}") from None

    def add(self, line: bytes) -> None:
        """Append a line, with its end.

        Raises:
            OutputError: it cannot be written; nothing of it is in the file.
            BrokenPipeError: nobody reads it any more.
        """
        self._write(line)
        piece = capture.decode(line)
        if piece:
            self.pieces += not piece.event
            self.size += len(piece.data)
            self.gaps += piece.event == "gap"
            self.missing += piece.missing

    def __str__(self) -> str:
        gaps = f"{self.gaps} gaps, {self.missing} bytes missing" if self.gaps else "no gaps"
        return f"{self.size} bytes in {self.pieces} pieces, {gaps}"

    def _write(self, line: bytes) -> None:
        done = 0
        try:
            while done < len(line):
                done += os.write(self._descriptor, line[done:])
        except BrokenPipeError:
            raise
        except OSError as error:
            with contextlib.suppress(OSError):  # no such thing in a pipe
                os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - done)
            problem = f"{self._file} cannot be written: {error.strerror}; what was written before is whole"
            raise OutputError(problem) from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("source", metavar="SOURCE", help="name of the source, as in the configuration")
    parser.add_argument("file", metavar="FILE", help="where it goes; - is standard output")
    parser.add_argument("--for", type=seconds, dest="seconds", metavar="TIME", help="end after 90s, 5m or 1h")
    parser.add_argument("--bytes", type=_count, metavar="N", help="end once so many bytes were received")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="CONFIG",
        help="open the source of this configuration, without gatewayd",
    )
    parser.add_argument(
        "--socket", default="", help="control socket of the daemon (default: where it usually is)"
    )


def run(options: argparse.Namespace) -> int:
    """Record until the end that was asked for."""
    try:
        return asyncio.run(_record(options))
    except (OutputError, ControlError, ConfigError, SettingError, SourceError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


async def _record(options: argparse.Namespace) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if options.config is None:
        lines = _from_daemon(find_socket(options.socket), options.source, stop)
    else:
        from gateway.cli.capture_here import read_here  # noqa: PLC0415 - not needed where gatewayd reads

        lines = read_here(options.config, options.source, stop)
    async with contextlib.aclosing(lines):
        header = await anext(lines)  # before there is a file: what cannot be captured leaves none
        output = Output(options.file, force=options.force)
        if options.seconds:
            loop.call_later(options.seconds, stop.set)
        progress = asyncio.create_task(_show(output, on=sys.stderr.isatty()))
        try:
            output.add(header)
            async for line in lines:
                output.add(line)
                if options.bytes and output.size >= options.bytes:
                    break
        except (OutputError, ControlError, SourceError) as error:
            sys.stderr.write(f"{error}\n")
            return 1
        finally:
            progress.cancel()
            sys.stderr.write(f"{output}\n")
    return 0


async def _from_daemon(path: Path, source: str, stop: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """The lines that gatewayd sends, until `stop` or until it ends.

    Raises:
        ControlError: it does not answer, says no, or ends.
    """
    with explained(path):
        reader, writer = await asyncio.open_unix_connection(path, limit=2 * capture.LINE_LIMIT)
    ending = asyncio.create_task(_hang_up(stop, writer))
    try:
        with explained(path):
            writer.write(json.dumps({"verb": "capture", "source": source}).encode() + b"\n")
            async with asyncio.timeout(REQUEST_TIMEOUT):
                first = await reader.readline()
        if not first:
            raise ControlError("gatewayd ended")
        if first.startswith(b'{"error"'):
            raise ControlError(json.loads(first)["error"])
        yield first
        with contextlib.suppress(ConnectionError):
            while (line := await reader.readline()).endswith(b"\n"):
                yield line
        if not stop.is_set():
            raise ControlError("gatewayd ended, and the capture with it")
    finally:
        ending.cancel()
        writer.close()


async def _hang_up(stop: asyncio.Event, writer: asyncio.StreamWriter) -> None:
    """Once it is to end, say so, and give gatewayd a while to send what it has."""
    await stop.wait()
    writer.write_eof()
    await asyncio.sleep(REQUEST_TIMEOUT)
    writer.transport.abort()


async def _show(output: Output, *, on: bool) -> None:
    """How far it is, where that is a screen."""
    while on:
        sys.stderr.write(f"\r{output} \r")
        sys.stderr.flush()
        await asyncio.sleep(1)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes, such as 1000000")
    return int(text)
