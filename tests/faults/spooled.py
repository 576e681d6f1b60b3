"""What the faults on disk and of records share: an outage with data on disk, and the frames in the spool's files."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from plant import Plant
from waiting import wait_until

from gateway.spool.format import HEADER_SIZE, Frame, scan
from gateway.spool.segment import SUFFIX

FRAMES: Final = 3
"""Frames on disk before a fault hurts one: there is one before and one behind it."""

PATIENCE: Final = 60.0
"""Seconds until what must happen has happened, on a slow and busy machine."""


class Place(NamedTuple):
    """A frame, and the file that it is in."""

    path: Path
    frame: Frame


def frames(spool: Path, above: int = 0) -> list[Place]:
    """Whole frames on disk above this sequence, in the order of the files' names; a hurt one is passed over."""
    found = []
    for path in sorted(spool.glob(f"*{SUFFIX}")):
        with suppress(FileNotFoundError):  # delivered meanwhile
            data = path.read_bytes()
            found += [Place(path, frame) for frame in scan(data, HEADER_SIZE) if isinstance(frame, Frame)]
    return [place for place in found if place.frame.summary.first > above]


@contextmanager
def kafka_cut(plant: Plant) -> Iterator[None]:
    """Kafka is out of reach for the gateway, and for nobody else."""
    proxies = plant.cluster.proxies
    try:
        for proxy in proxies:
            proxy.refusing = True
            proxy.cut()
        yield
    finally:
        for proxy in proxies:
            proxy.refusing = False


@contextmanager
def outage(plant: Plant) -> Iterator[int]:
    """Kafka is out of reach, and on entry there are some frames on disk above the sequence given, which it cannot have.

    On a busy machine readings are spilled while Kafka answers, and delivered frames stay for a while.
    """
    spool = plant.state / "spool"
    with kafka_cut(plant):
        before = max((place.frame.summary.last for place in frames(spool)), default=0)
        wait_until(lambda: len(frames(spool, before)) >= FRAMES, "the spool to write frames", PATIENCE)
        yield before


def trouble(plant: Plant) -> str:
    """What the status says of the spool's disk; empty if all is well. It must be among the reasons as well."""
    status = plant.gateway.status()
    said = str(status["spool"]["trouble"])
    assert not said or (
        status["health"] != "healthy"
        and any("disk is in trouble" in reason and said in reason for reason in status["reasons"])
    ), f"the status hides that the spool's disk is in trouble: {status['reasons']}"
    return said


def await_trouble(plant: Plant, words: str) -> None:
    """Return when the status says these words of the spool's disk."""
    wait_until(lambda: words in trouble(plant), f"the status to say {words!r}", PATIENCE)


def await_no_trouble(plant: Plant) -> None:
    """Return when the spool's disk takes writes again, which the gateway finds out by itself."""
    wait_until(lambda: not trouble(plant), "the spool to write again", PATIENCE)
