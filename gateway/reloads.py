"""Reading the configuration anew in a service that runs: one at a time, none is lost, and each has its outcome."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import structlog

from gateway.config import ConfigError
from gateway.lifecycle import notify

_log = structlog.get_logger()

UNCHANGED: Final = "nothing differs from what runs"

STOPPING: Final = "the service stops: it reads its configuration when it starts again"


class Outcome(NamedTuple):
    """What became of one reload.

    Attributes:
        accepted: the service goes by what is on disk.
        sentence: what was applied, or why nothing was, without any secret.
        changed: dotted keys that have other values than before.
    """

    accepted: bool
    sentence: str
    changed: list[str]


class Reloads:
    """Used from one event loop.

    Attributes:
        refused: why what is on disk was refused at the last reload; empty if it was not.
    """

    def __init__(self, reload: Callable[[], Awaitable[Outcome]], wanted: asyncio.Event) -> None:
        """`reload()` reads, checks and applies; it raises ConfigError if nothing was changed, as something is wrong.

        `wanted` is set where somebody wants it, at any time: while one goes on, another comes behind it.
        """
        self.refused = ""
        self._reload = reload
        self._refused_at = ""
        self._wanted = wanted
        self._waiting: list[asyncio.Future[Outcome]] = []
        self._served: list[asyncio.Future[Outcome]] = []

    async def outcome(self) -> Outcome:
        """What became of a reload that begins now, or as soon as the one that goes on has come to its end."""
        waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._wanted.set()
        return await waiting

    async def serve(
        self, _request: Mapping[str, Any], _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """The verb `reload` of the control socket: answers when it is done, with the fields of the outcome."""
        outcome = await self.outcome()
        writer.write(json.dumps(outcome._asdict()).encode() + b"\n")
        await writer.drain()

    def reasons(self) -> list[str]:
        """What is amiss, for the status."""
        if not self.refused:
            return []
        return [f"the configuration on disk is refused since {self._refused_at}: {self.refused}"]

    def refuse(self, problem: str) -> None:
        """What is on disk turns out to be wrong: said now, and by reasons() until a reload finds it good."""
        if problem != self.refused:
            self._refused_at = time.strftime("%Y-%m-%d %H:%M")
        self.refused = problem
        _log.error(
            "configuration refused",
            problem=problem,
            effect="the service goes on by what it read before",
            remedy="correct it and reload again",
        )

    async def run(self) -> None:
        """Reload whenever it is asked for, until cancelled."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                self._served, self._waiting = self._waiting, []
                microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                notify(
                    RELOADING="1", MONOTONIC_USEC=str(microseconds), STATUS="reading the configuration anew"
                )
                outcome = await self._once()
                refused = "" if outcome.accepted else "configuration refused: "
                notify(READY="1", STATUS=f"{refused}{outcome.sentence}")
                _tell(self._served, outcome)
        except asyncio.CancelledError:
            _tell([*self._served, *self._waiting], Outcome(False, STOPPING, []))
            raise

    async def _once(self) -> Outcome:
        try:
            outcome = await self._reload()
        except ConfigError as error:
            self.refuse(str(error))
            return Outcome(False, self.refused, [])
        self.refused = ""
        return outcome


def _tell(waiting: Iterable["asyncio.Future[Outcome]"], outcome: Outcome) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(outcome)
