"""What a person may set of the simulator."""

from typing import Annotated

import msgspec
from msgspec import Meta

from devices.simulator.faults import KINDS, Kind


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[sources.NAME]` with `kind = "simulator"`: devices with a temperature, a humidity and a vibration each.

    Attributes:
        count: how many devices.
        prefix: their names are this and a number: sim-1, sim-2.
        interval: seconds between two readings of a sensor; 0: as fast as they are taken.
        seed: the same seed gives the same values at the same times; another seed, others.
        faults_per_hour: faults to inject, in all devices together; 0: none.
        faults: their kinds, taken in turn: `spike`, `level`, `stuck`, `silence`.
        truth: file to which each injected fault is appended, one JSON object a line; empty: none.
        total: readings after which the source has ended; 0: never.
    """

    count: Annotated[int, Meta(ge=1, le=1000)] = 3
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._/-]{1,100}$")] = "sim-"
    interval: Annotated[float, Meta(ge=0, le=86_400)] = 1.0
    seed: int = 1
    faults_per_hour: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    faults: Annotated[tuple[Kind, ...], Meta(min_length=1)] = KINDS
    truth: str = ""
    total: Annotated[int, Meta(ge=0)] = 0
