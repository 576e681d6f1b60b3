"""The source that replays a recorded CSV file, in real or accelerated time."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, TypeVar

from devices.errors import SourceEnded, SourceRefused
from devices.reading import Reading
from devices.simulator.recording import PIECE, Recording, Row, Settings, Timeline, check, dated, open_file
from devices.source import NO_HOME, Home, Intake

__all__ = ["Replay", "Settings", "open_source"]

_T = TypeVar("_T")

_NANO: Final = 1_000_000_000
_MOST: Final = 1000
"""Readings handed over at once."""

_REJECTS: Final = 100
"""Rows that cannot be read before everything else in the loop gets its turn: a file that is no CSV has thousands in a piece."""

_LOOK_AGAIN: Final = 0.05
"""Seconds until the gateway is asked again for room."""

_STEP: Final = _NANO // 2
"""By less the clock is only steered: readings stay as far apart as they are due."""

_LATE: Final = _NANO
"""A reading that comes so late is of now: the gateway takes times farther from its own for those of another clock."""


class Replay:
    """See devices.source.Source. The file keeps what is not taken, so it waits for room and needs no receipts."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.window = 0
        self.counts: dict[str, int] = {}
        self._settings = settings

    async def run(self, intake: Intake) -> None:
        """See Source. Each call begins at the beginning of the file.

        Raises:
            SourceEnded: all of it was handed over.
            SourceRefused: it cannot be read, or its first line names no columns.
        """
        made = rejected = 0
        connected = False
        while True:
            file = _File(self._settings.file)
            try:
                await self._ask(file.open)
                if not connected:
                    connected = True
                    intake.connected()
                recording, hand = Recording(self.name, self._settings), _Hand(intake, self._settings)
                while data := await self._ask(file.read):
                    for row in recording.push(data):
                        await hand.take(row, recording)
                for row in recording.end():
                    await hand.take(row, recording)
                hand.flush()
            finally:
                file.close()
            made, rejected = made + hand.made, rejected + hand.rejected
            if not self._settings.loop:
                raise SourceEnded(
                    f"replay `{self.name}`: {self._settings.file} is at its end: {made} readings, {rejected} rows "
                    "that could not be read"
                )
            await asyncio.sleep(0 if hand.made else _LOOK_AGAIN)

    def safe(self, receipts: Sequence[Any]) -> None:
        """See Source."""

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        """See Source."""

    async def close(self) -> None:
        """See Source."""

    async def _ask(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise SourceRefused(
                f"replay `{self.name}`: {self._settings.file} cannot be read: {error.strerror}; "
                "set `file` to a file that the gateway may read"
            ) from error


class _File:
    """The recorded file, opened and read in a thread. Whoever is stopped while he waits for that leaves nothing open.

    Of a thread at work and the loop that closes, the one that sees the other's mark closes the file; both may.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._at_work = self._unwanted = False

    def open(self) -> None:
        with self._work():
            self._file = open_file(self._path)

    def read(self) -> bytes:
        with self._work():
            return self._file.read(PIECE) if self._file else b""

    def close(self) -> None:
        """Close it, now or when the thread lets go of it: a disk that hangs does not hold up the loop."""
        self._unwanted = True
        if not self._at_work:
            self._close()

    @contextmanager
    def _work(self) -> Iterator[None]:
        self._at_work = True
        try:
            yield
        finally:
            self._at_work = False
            if self._unwanted:
                self._close()

    def _close(self) -> None:
        if self._file:
            self._file.close()


class _Hand:
    """Hands the rows of one round over when they are due, by the monotonic clock: no step of the other one stops it."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self.made = self.rejected = 0
        self._intake = intake
        self._settings = settings
        self._timeline = Timeline(settings.speed)
        self._held: list[tuple[Reading, int]] = []
        self._offset = 0  # of the intake's clock from the monotonic one

    async def take(self, row: Row, recording: Recording) -> None:
        """Hand this row over, once it is due and there is room."""
        if row.reason:
            self.rejected += 1
            self._intake.reject(row.data, recording.origin, row.reason, row.size)
            if self.rejected % _REJECTS == 0:
                await asyncio.sleep(0)
        else:
            await self._hold(row)
        while not self._intake.ready():  # noqa: ASYNC110 - an intake has no event for it
            await asyncio.sleep(_LOOK_AGAIN)

    def flush(self) -> None:
        """Hand over what was due."""
        if not self._held:
            return
        now, passed = self._intake.now(), time.monotonic_ns()
        if abs(now - passed - self._offset) >= _STEP:
            self._offset = now - passed
        readings: list[Reading] = []
        for reading, due in self._held:
            when = due + self._offset
            if abs(now - when) >= _LATE:
                when = now
            readings.append(dated(reading, self._settings, when, max(when, now)))
        self.made += len(readings)
        self._intake.readings(readings)
        self._held = []

    async def _hold(self, row: Row) -> None:
        """Take its readings to those to be handed over, once they are due."""
        now = time.monotonic_ns()
        due = self._timeline.due(row.readings[0].time, now)
        if due > now:
            self.flush()
            await asyncio.sleep((due - now) / _NANO)
        self._held += [(reading, due) for reading in row.readings]
        if len(self._held) >= _MOST:
            self.flush()
            await asyncio.sleep(0)


def open_source(name: str, settings: Settings, home: Home = NO_HOME) -> Replay:  # noqa: ARG001 - asked of all kinds
    """See devices.registry.

    Raises:
        SettingError: settings that do not fit together.
    """
    check(settings, f"sources.{name}")
    return Replay(name, settings)
