"""Faults that kill gatewayd where it has most to do at once: while it starts, and while it drains its spool."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from plant import Fault, Plant
from spooled import PATIENCE, outage
from waiting import wait_until

START: Final = 1.0
"""Seconds that a start with its first transactions takes, about: a kill may fall anywhere in it."""

DRAIN: Final = 0.5
"""Seconds that a drain takes, about, from the moment at which Kafka is found again."""


@contextmanager
def kill_in_start(plant: Plant, chance: random.Random) -> Iterator[None]:
    """kill -9 of gatewayd soon after it is ready, up to three times in a row, with data on disk."""
    with outage(plant):
        plant.gateway.kill()
    for _ in range(chance.randint(1, 3)):
        plant.gateway.start()
        _pass(chance.uniform(0, START))
        plant.gateway.kill()
    yield
    plant.gateway.start()


@contextmanager
def kill_in_drain(plant: Plant, chance: random.Random) -> Iterator[None]:
    """kill -9 of gatewayd while it sends what an outage left on disk."""
    with outage(plant):
        yield
    wait_until(lambda: plant.gateway.status()["kafka"]["reachable"], "Kafka to be found again", PATIENCE)
    _pass(chance.uniform(0, DRAIN))
    status = plant.gateway.status()
    plant.wounds.note = f"with {status['spool']['on_disk']} readings on disk"
    plant.gateway.kill()
    plant.gateway.start()


def _pass(seconds: float) -> None:
    """Moments are what the laboratory draws: nothing is waited for."""
    threading.Event().wait(seconds)


FAULTS: Final[dict[str, Fault]] = {
    "kill in the start": kill_in_start,
    "kill in the drain": kill_in_drain,
}
