"""MQTT sources at work in a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import mosquitto
from mosquitto import Mosquitto
from waiting import until

from devices.errors import SourceError
from devices.mqtt.settings import Settings
from devices.mqtt.source import MqttSource, open_source
from devices.source import Home
from gateway.testing import RecordingIntake

QUIET: Final = 0.3
"""Seconds in which a broker on this machine would have sent whatever more it had to send."""


def source_at(
    broker: Mosquitto | int,
    /,
    version: Any = 5,
    folder: Path | None = None,
    name: str = "plant",
    **more: Any,
) -> MqttSource:
    """A source of `broker`, or of the port given; what it keeps is in `folder`."""
    port = broker if isinstance(broker, int) else broker.port
    more = {"broker": mosquitto.HOST, "topics": ["plant/{device}/{sensor}"], "decoder": "scalar", **more}
    return open_source(name, Settings(port=port, version=version, **more), Home("gw", folder))


@asynccontextmanager
async def taking(source: MqttSource, intake: RecordingIntake) -> AsyncIterator["asyncio.Task[None]"]:
    """The source at work, as long as the block lasts; connected at its beginning."""
    before = intake.connections
    run = asyncio.create_task(source.run(intake))
    try:
        await until(lambda: intake.connections > before or run.done(), "the source is connected")
        yield run
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def settle() -> None:
    """Give the broker the time to send what it must not send: the only way to see that nothing comes."""
    await asyncio.sleep(QUIET)


async def failure_of(source: MqttSource, intake: RecordingIntake | None = None) -> SourceError:
    """The error that ends run()."""
    try:
        await source.run(intake or RecordingIntake())
    except SourceError as error:
        return error
    raise AssertionError("run() returned")
