"""An outage of Kafka in a fraction of its time, on a real spool on a real disk, and the drain into a real Kafka after it.

As a program: `outage.py FOLDER SECONDS DISK_BYTES [BOOTSTRAP]` prints a Story as JSON. Nobody waits for the seconds of
the outage, but everything else happens as in a gateway: a batch every tenth of a second, a commit about once a second,
each one fsynced. Then readings go on coming, a thousand a second by the clock on the wall, while the spool is drained.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog
from device import noise, written
from hurrying import HurryingLoop, hurried
from kafka import KafkaServer
from process import resident

from devices.reading import Reading
from gateway import wire
from gateway.clock import Clock
from gateway.config import GatewayConfig, GatewayKafka
from gateway.config import Spool as SpoolSettings
from gateway.forward import Forward
from gateway.kafka.transactional import TransactionalSink
from gateway.ledger import Ledger
from gateway.spool import Batch, Spool, open_spool
from gateway.spool.batch import READING_BYTES

RATE: Final = 1000
BATCH_AGE: Final = 0.1
DEVICES: Final = 50
SENSORS: Final = (("temperature", "°C"), ("pressure", "bar"), ("flow", "l/min"), ("level", "%"))
SETTLED: Final = 120.0
"""Seconds of the outage after which memory may grow no more."""

SAMPLE_EVERY: Final = 20.0
MILLISECOND: Final = 1_000_000
DRAIN_DEADLINE: Final = 600.0


class Story(msgspec.Struct):
    """What happened, in seconds, bytes (memory: MB) and readings.

    Attributes:
        payload: bytes of the readings taken in during the outage, as JSON messages that name device, sensor, value,
            unit and time; counted on the first thousand.
        written: bytes that reached the device meanwhile, by anybody; `others` of them, going by what came before.
        held: readings on disk at the end of it, `dropped` were given up.
        disk_peak: the most that the spool took on disk.
        memory_early, memory_late: resident after two minutes of the outage, and the most after that.
        took: how long the outage took on the clock on the wall.
        drained: readings a second until the last reading of the outage was in Kafka, with others coming in.
        live: how many those were.
        memory_peak: resident memory at its most, the drain included.
        made, delivered: all readings, in the end; `balanced`: the ledger was.
    """

    outage: float
    payload: float = 0.0
    written: int = 0
    others: float = 0.0
    held: int = 0
    dropped: int = 0
    disk_peak: int = 0
    memory_early: float = 0.0
    memory_late: float = 0.0
    took: float = 0.0
    drained: float = 0.0
    live: int = 0
    memory_peak: float = 0.0
    made: int = 0
    delivered: int = 0
    balanced: bool = False


def readings(seed: int = 1) -> Iterator[Reading]:
    """One reading after the other, a millisecond apart, of 200 sensors that each wander a little."""
    chance = random.Random(seed)
    means = [chance.uniform(0, 100) for _ in range(DEVICES * len(SENSORS))]
    names = [(f"boiler-{n % DEVICES}", *SENSORS[n // DEVICES]) for n in range(len(means))]
    at = 1_767_355_200_000 * MILLISECOND
    for n in itertools.cycle(range(len(means))):
        device, sensor, unit = names[n]
        at += MILLISECOND
        received = at + chance.randrange(20 * MILLISECOND)
        yield Reading(device, sensor, round(chance.gauss(means[n], 0.5), 2), at, "plant", received, unit)


def batch_of(several: list[Reading]) -> Batch:
    """As the intake makes it."""
    batch = Batch()
    batch.readings = several
    batch.counts["plant"] = len(several)
    batch.size = sum(READING_BYTES + 2 * (len(r.device) + len(r.sensor)) for r in several)
    return batch


def payload_size(some: list[Reading]) -> float:
    """Bytes of one of them, as a device that describes itself would send it."""
    messages = [
        json.dumps(
            {
                "device": r.device,
                "sensor": r.sensor,
                "value": r.value,
                "unit": r.unit,
                "time": r.time // MILLISECOND,
            },
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode()
        for r in some
    ]
    return sum(map(len, messages)) / len(messages)


class _Plant:
    """Hands a batch to the spool every tenth of a second, by whatever clock the loop has. At work once it is made."""

    def __init__(self, spool: Spool, ledger: Ledger) -> None:
        self._spool = spool
        self._totals = ledger.source("plant")
        self._readings = readings()
        self.made = 0
        self._task = asyncio.ensure_future(self._run())

    def close(self) -> None:
        """Make no more. Further calls do nothing."""
        self._task.cancel()

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            several = list(itertools.islice(self._readings, round(RATE * BATCH_AGE)))
            self.made += len(several)
            self._totals.made = self._totals.received = self._totals.decoded = self.made
            self._spool.append(batch_of(several))
            due += BATCH_AGE
            await asyncio.sleep(due - time.monotonic())


async def _suffer(spool: Spool, story: Story) -> None:
    """The outage, of story.outage seconds."""
    began, begin = time.perf_counter(), time.monotonic()
    while (passed := time.monotonic() - begin) < story.outage:
        await asyncio.sleep(min(SAMPLE_EVERY, story.outage - passed))
        memory, _ = resident(os.getpid())
        story.disk_peak = max(story.disk_peak, spool.depth().disk_size)
        if passed < SETTLED:
            story.memory_early = story.memory_late = memory
        story.memory_late = max(story.memory_late, memory)
    story.took = time.perf_counter() - began


async def _drain(spool: Spool, forward: Forward, plant: _Plant, story: Story) -> None:
    """Until what the outage left is in Kafka, and then all the rest."""
    before, began = plant.made, time.monotonic()
    last = spool._next - 1
    forwarding = asyncio.create_task(forward.run(lambda: None))
    while spool.position < last:
        assert time.monotonic() - began < DRAIN_DEADLINE, "not drained"
        await asyncio.sleep(0.05)
    story.drained = story.held / (time.monotonic() - began)
    story.live = plant.made - before
    plant.close()
    async with asyncio.timeout(DRAIN_DEADLINE):
        await spool.empty()
    forwarding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await forwarding
    await forward.finish()


async def _tell(loop: HurryingLoop, folder: Path, story: Story, disk_bytes: int, bootstrap: str) -> None:
    ledger = Ledger()
    spool = open_spool(folder, SpoolSettings(disk_bytes=disk_bytes), ledger)
    others, before = noise(folder), written(folder)
    away = True
    spooling = asyncio.create_task(spool.run(lambda: away))
    plant = _Plant(spool, ledger)
    await _suffer(spool, story)
    story.written, story.others = written(folder) - before, others * story.took
    story.payload = plant.made * payload_size(list(itertools.islice(readings(), 1000)))
    totals = ledger.source("plant")
    story.held, story.dropped = spool.depth().readings, sum(totals.dropped.values())
    if bootstrap:
        loop.hurry = away = False
        config = GatewayConfig({}, kafka=GatewayKafka(bootstrap_servers=bootstrap))
        sink = TransactionalSink(config.kafka, "pi-7")
        await _drain(
            spool, Forward(spool, sink, ledger, config, "pi-7", clock=Clock(trusted=True)), plant, story
        )
        await sink.close()
    plant.close()
    spooling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await spooling
    await spool.close()
    depth = spool.depth()
    story.made, story.delivered = totals.made, totals.delivered
    story.balanced = bool(ledger.snapshot(depth.in_memory, depth.spooled)["balanced"])
    _, story.memory_peak = resident(os.getpid())


class Seen(NamedTuple):
    """What a reader of committed records finds in the topic: how many, how many of them again, how many out of order
    for their device."""

    found: int
    repeated: int
    reordered: int


def seen(server: KafkaServer, topic: str = "readings") -> Seen:
    """Read all of it. Of the records only what tells them apart is kept."""
    last: dict[str, int] = {}
    numbers: set[int] = set()
    count = reordered = 0
    for record in server.records(topic):
        reading = wire.decode_reading(record.value() or b"")
        count += 1
        numbers.add(reading.seq)
        reordered += reading.seq <= last.get(reading.device, 0)
        last[reading.device] = reading.seq
    return Seen(count, count - len(numbers), reordered)


def story(folder: Path, seconds: float, disk_bytes: int, bootstrap: str = "") -> Story:
    """Have it happen in a process of its own, so that its memory is that of the gateway's parts alone."""
    command = [sys.executable, __file__, str(folder), str(seconds), str(disk_bytes), bootstrap]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return msgspec.json.decode(done.stdout, type=Story)


def main(folder: Path, seconds: float, disk_bytes: int, bootstrap: str) -> None:
    """See above."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    this = Story(outage=seconds)
    with hurried() as loop:
        loop.run_until_complete(_tell(loop, folder, this, disk_bytes, bootstrap))
    sys.stdout.buffer.write(msgspec.json.encode(this))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
