"""Batches, a listening source, and a spool over the file system that fails on demand."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from devices.reading import Reading
from devices.source import Intake
from gateway.config import Spool as Settings
from gateway.ledger import Ledger
from gateway.spool import Batch, Spool
from gateway.spool.batch import READING_BYTES
from gateway.testing_fs import FaultFiles
from gateway.wire import DeadLetter


class Listener:
    """A source that only notes what it is told is safe."""

    name = "line"

    def __init__(self, window: int = 0) -> None:
        self.heard: list[Any] = []
        self.window = window
        self.counts: dict[str, int] = {}

    async def run(self, intake: Intake) -> None:
        raise AssertionError(intake)

    def safe(self, receipts: Sequence[Any]) -> None:
        self.heard += receipts

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        raise AssertionError(health, reasons)

    async def close(self) -> None:
        raise AssertionError


def reading(number: int) -> Reading:
    """A reading that its time tells from all others."""
    return Reading("boiler-7", "temperature", float(number), number, "line", number)


def letter(size: int = 100) -> DeadLetter:
    """A dead letter of the same source."""
    return DeadLetter(1, "pi-7", "line", "/dev/x", "no number", 1, size, b"x" * size)


def batch_of(numbers: Sequence[int], source: Listener | None = None, receipt: Any = None) -> Batch:
    """A batch of the readings with these numbers."""
    batch = Batch()
    batch.readings = [reading(number) for number in numbers]
    batch.size = READING_BYTES * len(numbers)
    if numbers:
        batch.counts["line"] = len(numbers)
    if source is not None:
        batch.add_receipt(source, receipt)
    return batch


def values(batches: Iterable[Batch]) -> list[int]:
    """The numbers of the readings in `batches`."""
    return [r.time for batch in batches for r in batch.readings]


class Rig:
    """A spool on `files`, its ledger, and shorthands. spill() writes all that is in memory at once."""

    def __init__(self, files: FaultFiles | None = None, **settings: Any) -> None:
        self.files = files or FaultFiles()
        self.ledger = Ledger()
        self.line = self.ledger.source("line")
        self.spool = Spool(Settings(**{"dead_letter_bytes": 2000, **settings}), self.ledger, self.files)

    def append(self, numbers: Sequence[int], source: Listener | None = None, receipt: Any = None) -> None:
        """Take in a batch of these readings."""
        self.line.made += len(numbers)
        self.spool.append(batch_of(numbers, source, receipt))

    async def spill(self) -> None:
        """Write what is in memory, once."""
        await self.spool._spill()

    async def drain(self, limit: int = 10**6) -> list[int]:
        """Deliver everything; returns the numbers in the order of delivery."""
        delivered: list[int] = []
        while not self.spool._emptied.is_set():
            if batches := await self.spool.read(limit):
                delivered += values(batches)
                self.spool.commit(batches[-1].last)
        return delivered

    @property
    def balanced(self) -> bool:
        """Whether the ledger is, with what the spool says it holds."""
        depth = self.spool.depth()
        return bool(self.ledger.snapshot(depth.in_memory, depth.spooled)["balanced"])


def scene(play: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test."""

    async def whole() -> None:
        await play()

    asyncio.run(whole())
