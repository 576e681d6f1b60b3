"""A capture without gatewayd: the source is opened here, and what it receives goes nowhere else."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Final

from devices import registry
from devices.errors import SettingError, SourceError, SourceLost
from devices.reading import Quality, Reading
from devices.source import Origin, RawSource
from gateway import capture
from gateway.cli.arguments import source_table
from gateway.cli.said import log_to_stderr
from gateway.config import GatewayConfig, load
from gateway.config_files import refusal

AGAIN: Final = 1.0
"""Seconds until a source that was lost is opened again."""


class _Nobody:
    """An Intake that takes everything and does nothing with it."""

    def __init__(self) -> None:
        self.here = asyncio.Event()

    def payload(
        self, data: bytes, origin: Origin, receipt: Any = None, quality: Quality = Quality.GOOD
    ) -> None:
        """See devices.source.Intake."""

    def readings(self, readings: Sequence[Reading], receipt: Any = None) -> None:
        """See devices.source.Intake."""

    def reject(self, data: bytes, origin: Origin, reason: str, size: int, receipt: Any = None) -> None:
        """See devices.source.Intake."""

    def ready(self) -> bool:
        """See devices.source.Intake."""
        return True

    def now(self) -> int:
        """See devices.source.Intake."""
        return time.time_ns()

    def connected(self) -> None:
        """See devices.source.Intake."""
        self.here.set()


async def read_here(path: Path, name: str, stop: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """Lines of a capture of the source `name` in the configuration at `path`, once it is open, until `stop`.

    Raises:
        ConfigError, SettingError: there is no such source, or it cannot be captured like this.
        SourceError: it cannot be opened, or cannot go on. A port that is lost is opened again.
    """
    config = load(path, GatewayConfig)
    log_to_stderr()
    table = source_table(config, path, name)
    source = registry.open_source(name, table)
    if not isinstance(source, RawSource):
        raise refusal(
            path,
            SettingError(f"sources.{name}", "makes readings of its own: there are no raw bytes to capture"),
        )
    if source.window:
        raise refusal(
            path,
            SettingError(
                f"sources.{name}",
                "what is taken here would be taken from the gateway; "
                "start gatewayd, and capture without --config",
            ),
        )
    recorder, more, nobody = capture.Recorder(), asyncio.Event(), _Nobody()
    recorder.on_line = more.set
    source.tap(recorder)
    reading = asyncio.create_task(_keep_reading(source, nobody))
    reading.add_done_callback(lambda _: more.set())
    here = asyncio.create_task(nobody.here.wait())
    ending = asyncio.create_task(stop.wait())
    ending.add_done_callback(lambda _: reading.cancel())
    try:
        await asyncio.wait([here, reading], return_when=asyncio.FIRST_COMPLETED)
        if here.done() or stop.is_set():
            yield capture.header(config.gateway.id, name, table, time.time_ns())
        done = False
        while not done:
            more.clear()
            done = reading.done()
            while lines := recorder.take():
                for line in lines.splitlines(keepends=True):
                    yield line
            if not done:
                await more.wait()
        if not reading.cancelled():
            reading.result()
    finally:
        for task in (here, ending, reading):
            task.cancel()
        await asyncio.wait([here, ending, reading])
        await source.close()


async def _keep_reading(source: RawSource, nobody: _Nobody) -> None:
    """Read until cancelled; says once per trouble why it has to wait for the port."""
    said = ""
    while True:
        try:
            await source.run(nobody)
        except SourceError as error:
            if not nobody.here.is_set() or not isinstance(error, SourceLost):
                raise
            if str(error) != said:
                said = str(error)
                sys.stderr.write(f"{said}\n")
        await asyncio.sleep(AGAIN)
