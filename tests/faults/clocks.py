"""A fault of the clock: somebody, or a time server, sets it while the gateway runs."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import stepped
from plant import Fault, Plant

SMALLEST: Final = 60.0
LARGEST: Final = 12 * 3600.0
"""Seconds: from a clock that drifted to a wrong time zone."""


@contextmanager
def clock_step(plant: Plant, chance: random.Random) -> Iterator[None]:
    """The wall clock of gatewayd jumps forward or back, and later returns."""
    offset, gateway = plant.folder / "clock", plant.gateway
    stepped.set_offset(offset, 0)
    gateway.stop()
    gateway.daemon.prefix = [sys.executable, "-P", stepped.__file__, str(offset)]
    gateway.start()
    step = chance.choice((-1, 1)) * chance.uniform(SMALLEST, LARGEST)
    plant.wounds.note = f"by {step / 3600:+.1f} h"
    stepped.set_offset(offset, step)
    yield
    stepped.set_offset(offset, 0)
    gateway.daemon.prefix = []  # from the next start on: one more stop would be another fault


FAULTS: Final[dict[str, Fault]] = {"clock step": clock_step}
