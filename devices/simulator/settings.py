"""What a person may set of the simulator."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from devices.errors import SettingError
from devices.simulator.faults import KINDS, TROUBLES
from devices.simulator.sensors import MODELS, Model, Name
from devices.simulator.signals import HOUR

MOST_READINGS: Final = 10_000
"""At one time: to make them takes 20 ms, and longer the more parts their signals have."""

_SLOT: Final = 4
"""A slot of the faults has as many intervals at least, or a fault might fall between two readings."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[sources.NAME]` with `kind = "simulator"`: devices that do not exist.

    Attributes:
        count: how many devices.
        prefix: their names are this and a number: sim-1, sim-2.
        sensors: what each of them measures; empty: a temperature, a humidity and a vibration.
        interval: seconds between two readings of a sensor; 0: as fast as they are taken.
        seed: the same seed gives the same values at the same times; another seed, others.
        faults_per_hour: faults to inject, in all devices together; 0: none.
        faults: their kinds, taken in turn: `spike`, `drift`, `level`, `stuck`, `noise`, `silence`. Which are allowed
            depends on what carries the readings: see check() and check_source().
        truth: file to which each injected fault is appended, one JSON object a line; empty: none.
        total: readings after which the source has ended; 0: never.
    """

    count: Annotated[int, Meta(ge=1, le=1000)] = 3
    prefix: Name = "sim-"
    sensors: Annotated[tuple[Model, ...], Meta(max_length=100)] = ()
    interval: Annotated[float, Meta(ge=0, le=86_400)] = 1.0
    seed: int = 1
    faults_per_hour: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    faults: Annotated[tuple[str, ...], Meta(min_length=1)] = KINDS
    truth: str = ""
    total: Annotated[int, Meta(ge=0)] = 0


def models_of(settings: Settings) -> tuple[Model, ...]:
    """The sensors of each device."""
    return settings.sensors or MODELS


def check(settings: Settings, key: str, kinds: Sequence[str] = (*KINDS, *TROUBLES)) -> None:
    """See that the settings, found at the dotted path `key`, fit together, with faults of these kinds.

    Raises:
        SettingError: they do not.
    """
    names = [model.name for model in settings.sensors]
    for place, name in enumerate(names):
        if name in names[:place]:
            problem = f"{name!r} is the name of two sensors; allowed: each name once"
            raise SettingError(f"{key}.sensors.{place}.name", problem)
    for place, kind in enumerate(settings.faults):
        if kind not in kinds:
            raise SettingError(
                f"{key}.faults.{place}", f"{kind!r} is not allowed: allowed: {', '.join(kinds)}"
            )
    if problem := too_many_faults(settings):
        about = [f"{key}.faults_per_hour", f"{key}.interval"]
        raise SettingError(about[0], f"{problem}, or a shorter interval", about)


def too_many_faults(settings: Settings) -> str:
    """What is wrong with its number of faults, and how many are allowed; empty: nothing."""
    if not settings.faults_per_hour or settings.interval * _SLOT * settings.faults_per_hour <= HOUR:
        return ""
    return (
        f"{settings.faults_per_hour:g} is not allowed: with a reading every {settings.interval:g} s a fault might fall "
        f"between two readings; at most {HOUR / _SLOT / settings.interval:g}"
    )


def check_source(settings: Settings, key: str) -> None:
    """The same for a source, which has neither a line nor a broker to spoil.

    Raises:
        SettingError: they do not.
    """
    for place, kind in enumerate(settings.faults):
        if kind in TROUBLES:
            raise SettingError(
                f"{key}.faults.{place}",
                f"{kind!r} spoils a serial line or an MQTT connection, and this source has none: "
                f"`gatewayctl simulate` has it; allowed here: {', '.join(KINDS)}",
            )
    if settings.count * len(models_of(settings)) > MOST_READINGS:
        raise SettingError(
            f"{key}.count",
            f"{settings.count} is not allowed: with {len(models_of(settings))} sensors each that is more than "
            f"{MOST_READINGS} readings at a time; use several sources, or `gatewayctl simulate`",
            [f"{key}.count", f"{key}.sensors"],
        )
    check(settings, key, KINDS)
