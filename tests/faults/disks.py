"""Faults of the disk under the spool: full, failing to sync, and replaced by what it was before."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from plant import Fault, Plant, Unavailable
from small_disk import fill
from spooled import PATIENCE, await_no_trouble, await_trouble, outage, trouble
from waiting import wait_until

from gateway.spool.segment import SUFFIX

FILLER: Final = "filler"


@contextmanager
def disk_full(plant: Plant, chance: random.Random) -> Iterator[None]:
    """The disk under the spool is full while Kafka is away: nothing is called safe meanwhile, and the status says why."""
    if not os.path.ismount(plant.state):
        raise Unavailable("the spool is on no disk of its own: mounting one needs root")
    filler = plant.state / FILLER
    try:
        with outage(plant):
            fill(filler)
            await_trouble(plant, "No space left on device")
            before = plant.gateway.status()["spool"]["on_disk"]
            yield
            assert trouble(plant), "the status forgets that the disk is full"
            assert plant.gateway.status()["spool"]["on_disk"] == before
            assert plant.record.waiting, "MQTT was told that something is safe that is nowhere on disk"
            if chance.choice(("disk first", "kafka first")) == "disk first":
                filler.unlink()
                await_no_trouble(plant)
    finally:
        filler.unlink(missing_ok=True)
    await_no_trouble(plant)


@contextmanager
def syncs_fail(plant: Plant, chance: random.Random) -> Iterator[None]:
    """Every fdatasync of gatewayd fails with EIO while Kafka is away."""
    del chance
    strace = shutil.which("strace")
    if strace is None:
        raise Unavailable("strace is missing; on Debian: apt-get install strace")
    with outage(plant):
        failing = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"]
        with _traced(plant, [strace, "-f", "-qq", *failing]):
            await_trouble(plant, "Input/output error")
            yield
        await_no_trouble(plant)


@contextmanager
def old_copy(plant: Plant, chance: random.Random) -> Iterator[None]:
    """The spool's folder is replaced by a copy that is a run older, as by a card restored from its image."""
    del chance
    spool, copy = plant.state / "spool", plant.folder / "old-copy"
    _stop_with_all_delivered(plant)
    shutil.copytree(spool, copy)
    plant.gateway.start()
    yield
    _stop_with_all_delivered(plant)
    shutil.rmtree(spool)
    shutil.move(copy, spool)
    began = len(plant.gateway.daemon.events("spool begins anew"))
    plant.gateway.start()
    plant.wounds.checks.append(
        lambda: (
            ""
            if len(plant.gateway.daemon.events("spool begins anew")) > began
            else "the old copy was trusted"
        )
    )


def _stop_with_all_delivered(plant: Plant) -> None:
    """What is on disk now is gone with the folder, and what is in the copy comes again: so nothing may be."""
    wait_until(lambda: not plant.gateway.status()["spool"]["on_disk"], "the spool to be delivered", PATIENCE)
    plant.gateway.stop()
    left = list((plant.state / "spool").glob(f"*{SUFFIX}"))
    assert not left, "a stop in order leaves undelivered readings though Kafka is there"


@contextmanager
def _traced(plant: Plant, command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(
        [*command, "-o", os.devnull, "-p", str(plant.gateway.daemon.pid)], stdin=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()  # which lets go of gatewayd
        process.wait(PATIENCE)


FAULTS: Final[dict[str, Fault]] = {
    "disk full": disk_full,
    "fdatasync fails": syncs_fail,
    "old copy of the spool": old_copy,
}
