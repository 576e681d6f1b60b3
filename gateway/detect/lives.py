"""The lives of gateway-detect: each goes by a configuration, and ends in order before the next one begins."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from gateway import lifecycle, log
from gateway.changes import keys_that_differ, no_defect_ends_it
from gateway.config import ConfigError
from gateway.config_files import placed
from gateway.detect.checking import look_closer
from gateway.detect.config import DetectConfig, load_detect
from gateway.guard import warn
from gateway.kafka.state_topic import StateTopicError
from gateway.reloads import UNCHANGED, Outcome, Reloads
from gateway.setup import Secrets, Tables, refuse_unreadable, secrets_in

_log = structlog.get_logger()

Live = Callable[[DetectConfig, asyncio.Event, "Lives"], Awaitable[None]]
"""One life: goes by these settings, says Lives.begun(), and ends in order once the event is set."""


class Read(NamedTuple):
    """A configuration as it was read once, and what is in the files that it names."""

    config: DetectConfig
    secrets: Secrets


class Lives:
    """Used from one event loop.

    Attributes:
        reloads: who asks for the next life.
    """

    def __init__(self, config: DetectConfig, path: Path, wanted: asyncio.Event) -> None:
        """`wanted` is set where the file at `path` is to be read anew."""
        self.reloads = Reloads(self._reload, wanted)
        self._path = path
        self._read = Read(config, secrets_in(_tables_of(config)))
        self._over = asyncio.Event()
        self._begun: asyncio.Future[None] | None = None
        self._before: Read | None = None

    async def run(self, stop: asyncio.Event, live: Live) -> None:
        """Live until `stop` is set. A configuration that was read later is given up for the one before it, if need be.

        Raises:
            ConfigError, StateTopicError: no life can begin, or go on.
        """
        reloading = asyncio.create_task(self.reloads.run(), name="reload")
        reloading.add_done_callback(lambda _: self._over.set())  # a defect, which is raised below
        stopping = asyncio.create_task(self._stop_with(stop), name="stop")
        try:
            while not (stop.is_set() or reloading.done()):
                self._over.clear()
                present = self._read
                try:
                    await live(present.config, self._over, self)
                    self._before = present
                except (ConfigError, StateTopicError) as error:
                    if present is not self._read:  # another one waits already, and may mend it
                        _log.error("life ended", problem=str(error))
                        continue
                    if self._before is None:
                        raise
                    self._read, self._before = self._before, None
                    self._give_up(error)
            if reloading.done():
                reloading.result()
        finally:
            reloading.cancel()
            stopping.cancel()

    def settled(self) -> None:
        """The present life is at work: from now on none before it is gone back to."""
        self._before = None

    def begun(self) -> None:
        """The present life has begun."""
        lifecycle.notify(READY="1", STATUS="started")
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(None)

    def _give_up(self, error: ConfigError | StateTopicError) -> None:
        problem = str(placed(self._path, error) if isinstance(error, ConfigError) else error)
        if self._begun is not None and not self._begun.done():
            self._begun.set_exception(ConfigError(problem))
        else:
            self.reloads.refuse(problem)

    async def _stop_with(self, stop: asyncio.Event) -> None:
        await stop.wait()
        lifecycle.notify(STOPPING="1", STATUS="stopping")
        self._over.set()

    async def _reload(self) -> Outcome:
        """Read the configuration anew, and begin a life that goes by it.

        Raises:
            ConfigError: it is refused, or no life can begin with it.
        """
        read = await asyncio.to_thread(_read_anew, self._path)
        keys = keys_that_differ(self._read, read)
        if not keys:
            _log.info("configuration unchanged")
            return Outcome(True, UNCHANGED, [])
        before, self._read = self._read, read
        self._begun = asyncio.get_running_loop().create_future()
        self._over.set()
        await self._begun
        if before.config.log != read.config.log:
            await asyncio.to_thread(log.configure_anew, read.config.log, "gateway-detect")
        _log.info("configuration applied", keys=keys)
        return Outcome(True, f"applied: changed: {', '.join(keys)}", keys)


def _read_anew(path: Path) -> Read:
    with no_defect_ends_it(path):
        config = load_detect(path)
        look_closer(path, config)
        refuse_unreadable(path, _tables_of(config))
        warn(path)
        return Read(config, secrets_in(_tables_of(config)))


def _tables_of(config: DetectConfig) -> Tables:
    return {"kafka": msgspec.to_builtins(config.kafka), "mqtt": msgspec.to_builtins(config.mqtt)}
