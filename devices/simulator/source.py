"""The simulator as a source: readings at regular times, for as long as it is asked to."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from devices.errors import SourceEnded, SourceRefused
from devices.reading import Reading
from devices.simulator.faults import Truth
from devices.simulator.plant import NANO, Plant
from devices.simulator.settings import Settings, check_source, models_of
from devices.source import NO_HOME, Home, Intake

PORTION: Final = 2000
"""Parts of signals that are asked before everything else in the loop gets its turn: 11 ms if all of them are walks."""

_BEHIND: Final = NANO
"""Late readings are caught up with if it is by less. Else the machine slept or the clock was set: no flood, a new beginning."""


class Simulator:
    """See devices.source.Source. Readings wait for nobody, so receipts mean nothing to it."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.window = 0
        self.counts: dict[str, int] = {}
        self._settings = settings
        self._made = 0

    async def run(self, intake: Intake) -> None:
        """See Source. Each call starts anew, except that `total` counts the readings of all calls.

        Raises:
            SourceEnded: `total` readings were made.
            SourceRefused: the truth file cannot be written.
        """
        settings = self._settings
        await self._record()
        due = intake.now()
        truths: list[Truth] = []
        plant = Plant(self.name, settings, due, truths.append)
        portion = max(1, PORTION // sum(len(model.signal) for model in models_of(settings)))
        intake.connected()
        while True:
            for first in range(0, settings.count, portion):
                if first:
                    await asyncio.sleep(0)
                now = intake.now()
                if abs(now - due) >= _BEHIND:
                    due = now
                readings = plant.readings_at(due, max(due, now), slice(first, first + portion))
                if truths:
                    await self._record(*truths)
                    truths.clear()
                self._hand_over(readings, intake)
            due = await _next(due, round(settings.interval * NANO), intake)

    def safe(self, receipts: Sequence[Any]) -> None:
        """See Source."""

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        """See Source."""

    async def close(self) -> None:
        """See Source."""

    def _hand_over(self, readings: list[Reading], intake: Intake) -> None:
        total = self._settings.total
        if total:
            readings = readings[: total - self._made]
        self._made += len(readings)
        intake.readings(readings)
        if self._made == total > 0:
            raise SourceEnded(f"simulator `{self.name}`: all {total} readings are made")

    async def _record(self, *truths: Truth) -> None:
        """Append to the truth file; without any truth it is only tried whether that will be possible."""
        if not self._settings.truth:
            return
        try:
            await asyncio.to_thread(_append, Path(self._settings.truth), truths)
        except OSError as error:
            raise SourceRefused(
                f"simulator `{self.name}`: cannot write the truth file {self._settings.truth}: {error.strerror}; "
                "make its folder writable or set another `truth`"
            ) from error


def _append(path: Path, truths: Sequence[Truth]) -> None:
    with path.open("ab") as file:
        file.write(b"".join(msgspec.json.encode(truth) + b"\n" for truth in truths))


async def _next(due: int, interval: int, intake: Intake) -> int:
    """Wait for the reading after the one that was due at `due`; return when it is due. All in nanoseconds.

    Follows the clock and not the pauses, so that the pace does not drift; but wherever that is set to, the wait is short.
    """
    if not interval:
        await asyncio.sleep(0)
        return max(intake.now(), due + 1)
    due += interval
    await asyncio.sleep(min(max(0, due - intake.now()), interval + _BEHIND) / NANO)
    return due


def open_source(name: str, settings: Settings, home: Home = NO_HOME) -> Simulator:  # noqa: ARG001 - asked of all kinds
    """See devices.registry. Simulated devices are called alike on every gateway.

    Raises:
        SettingError: settings that do not fit together.
    """
    check_source(settings, f"sources.{name}")
    return Simulator(name, settings)
