"""Keeps one source connected, for ever, and lets its stand-in work while it is away."""

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine
from typing import Any, Final, Literal

import structlog

from devices.errors import SourceEnded, SourceError, SourceLost, SourceRefused
from devices.source import Intake, Source

_log = structlog.get_logger()

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 2.0
REFUSED_PAUSE: Final = 15.0
"""Seconds until a source is tried again: from FIRST_PAUSE, doubled up to LONGEST_PAUSE, each shortened by up to half
at random so that a fleet does not knock in step; REFUSED_PAUSE where somebody has to change something."""

LASTING: Final = 10.0
"""Seconds that a connection must have lasted for its loss to be tried again at once. Two gateways with one id throw each
other out of an MQTT session for ever: they should not do it four times a second."""

State = Literal["connecting", "connected", "lost", "refused", "ended"]


class Feed:
    """One source and its stand-in.

    Attributes:
        source: the source itself.
        state: what it is doing.
        since: since when it is connected, or away, in seconds of the monotonic clock.
        trouble: why it is away, as a sentence with what to do; empty while it is connected.
        last_trouble: the last of these, also once it is over.
        troubled: when that was, in seconds of the monotonic clock; 0.0: never.
        standing_in: whether the stand-in is at work now.
    """

    def __init__(self, source: Source, stand_in: Source | None = None, stand_in_after: float = 5.0) -> None:
        """`stand_in` yields readings under the same name once the source has been away for so many seconds."""
        self.source = source
        self.state: State = "connecting"
        self.since = time.monotonic()
        self.trouble = self.last_trouble = ""
        self.troubled = 0.0
        self.standing_in = False
        self._stand_in = stand_in
        self._stand_in_after = stand_in_after
        self._here = asyncio.Event()
        self._away = asyncio.Event()
        self._away.set()
        self._changed = asyncio.Event()
        self._replaced: set[Source] = set()

    def connected(self) -> None:
        """The link is up. For Intake.connected()."""
        if self.state != "connected":
            _log.info("source connected", source=self.source.name)
            self.since = time.monotonic()
        self.state, self.trouble = "connected", ""
        self._away.clear()
        self._here.set()

    async def run(self, intake: Intake, stand_in_intake: Intake) -> None:
        """Read the source until cancelled, or until it ended; connects again after every loss."""
        async with asyncio.TaskGroup() as group:
            stand_in = group.create_task(self._keep_standing_in(stand_in_intake))
            await self._keep_connected(intake)
            stand_in.cancel()

    def let_stand_in(self, stand_in: Source | None, after: float) -> None:
        """From now on this one, or none, stands in for the source; the link of the source itself is left alone."""
        if self._stand_in is not None and self._stand_in is not stand_in:
            self._replaced.add(self._stand_in)
        self._stand_in, self._stand_in_after = stand_in, after
        self._changed.set()

    async def close(self) -> None:
        """Close the link, once what is due was acknowledged."""
        await self.source.close()
        for one in {*self._replaced, *filter(None, [self._stand_in])}:
            await one.close()

    async def _keep_connected(self, intake: Intake) -> None:
        pause = FIRST_PAUSE / 2
        while True:
            try:
                await self.source.run(intake)
            except SourceEnded:
                self._left("ended")
                _log.info("source ended", source=self.source.name)
                return
            except SourceRefused as error:
                self._lost("refused", error)
                pause = REFUSED_PAUSE
            except SourceError as error:
                lasted = self.state == "connected" and time.monotonic() - self.since > LASTING
                pause = FIRST_PAUSE if lasted else min(pause * 2, LONGEST_PAUSE)
                self._lost("lost", error)
            except Exception as error:  # noqa: BLE001 - see below
                # A defect of one source must not take the others down: shown with its traceback, tried again.
                _log.exception("source failed", source=self.source.name)
                self._lost("lost", SourceLost(f"unexpected {type(error).__name__}; see the log"))
                pause = LONGEST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spread, not a secret

    def _lost(self, state: State, error: SourceError) -> None:
        if str(error) != self.trouble:
            _log.warning("source lost", source=self.source.name, problem=str(error))
        self.trouble = self.last_trouble = str(error)
        self.troubled = time.monotonic()
        self._left(state)

    def _left(self, state: State) -> None:
        if self.state == "connected":
            self.since = time.monotonic()
        self.state = state
        self._here.clear()
        self._away.set()

    async def _keep_standing_in(self, intake: Intake) -> None:
        while True:
            self._changed.clear()
            stand_in = self._stand_in
            if stand_in is None:
                await self._changed.wait()
                continue
            if await self._away_for(self._stand_in_after):
                _log.warning("stand-in started", source=self.source.name, problem=self.trouble)
                self.standing_in = True
                try:
                    await self._run_until_here(stand_in, intake)
                finally:
                    self.standing_in = False
                _log.info("stand-in stopped", source=self.source.name)
            if self._changed.is_set():
                await stand_in.close()
                self._replaced.discard(stand_in)

    async def _away_for(self, seconds: float) -> bool:
        """Whether the source was away for so long without a break; False as soon as the stand-in is another one."""
        await _first(self._away.wait(), self._changed.wait())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _first(self._here.wait(), self._changed.wait())
        return not (self._here.is_set() or self._changed.is_set())

    async def _run_until_here(self, stand_in: Source, intake: Intake) -> None:
        work = asyncio.create_task(stand_in.run(intake), name=f"stand-in {self.source.name}")
        over = asyncio.create_task(_first(self._here.wait(), self._changed.wait()))
        try:
            await asyncio.wait([work, over], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                _log.error("stand-in failed", source=self.source.name, problem=str(work.exception()))
                await over
        finally:
            for task in (work, over):
                task.cancel()
            await asyncio.gather(work, over, return_exceptions=True)


async def _first(*waits: Coroutine[Any, Any, Any]) -> None:
    """Return when one of them does; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
