"""Fakes for tests of sources and of what uses them. The contract tests run over these and over the real things."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from devices.errors import SourceError
from devices.source import Intake


class ScriptedSource:
    """A source that does what the test says: each run() follows the next script, the last one for ever.

    A script gets the intake; it may hand over payloads, raise a SourceError, or return, which means to stay
    connected and silent until cancelled.

    Attributes:
        runs: how often run() was called.
        heard: receipts that safe() got, in order.
        closed: whether close() was called.
    """

    def __init__(self, *scripts: Callable[[Intake], None], name: str = "scripted") -> None:
        self.name = name
        self.runs = 0
        self.heard: list[Any] = []
        self.closed = False
        self._scripts = scripts

    async def run(self, intake: Intake) -> None:
        """See devices.source.Source."""
        script = self._scripts[min(self.runs, len(self._scripts) - 1)]
        self.runs += 1
        script(intake)
        await asyncio.Event().wait()

    def safe(self, receipts: Sequence[Any]) -> None:
        """See devices.source.Source."""
        self.heard += receipts

    async def close(self) -> None:
        """See devices.source.Source."""
        self.closed = True


def connects(intake: Intake) -> None:
    """A script: the link comes up, and nothing is said."""
    intake.connected()


def fails_with(error: SourceError) -> Callable[[Intake], None]:
    """A script: the link does not come up, or breaks, with this error."""

    def script(_: Intake) -> None:
        raise error

    return script
