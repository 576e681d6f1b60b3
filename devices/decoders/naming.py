"""Settings that the decoders of named values share: which names describe, which values are taken, and as what.

All of them go by the names that the payload gives: a sensor that `rename` calls `power` is still `ENERGY.Power` to
`include`, `exclude` and `units`. Where the origin names a sensor, names begin with it here as they do in a reading.
"""

import functools
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from devices.decoders.common import UNIT_LIMIT
from devices.decoders.members import DEFAULT, Rules
from devices.decoders.paths import Path, parse_path
from devices.decoders.times import Clock, zone_of
from devices.errors import SettingError
from devices.reading import NAME_LIMIT, Reading, is_name

Key = Annotated[str, Meta(max_length=NAME_LIMIT)]
Pattern = Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT)]
Unit = Annotated[str, Meta(max_length=UNIT_LIMIT)]

_MOST: Final = 1000
_TWO: Final = 2


class Naming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the names in a payload mean.

    Attributes:
        device_key, sensor_key, value_key, unit_key: names of the members that describe, in place of `device`,
            `sensor`, `value` and `unit`. Empty: those.
        time_key: name of the member that tells the time, in place of `time`, `timestamp`, `ts` and `Time`; two names
            for a date and a time of day. Empty: those.
        time_zone: of times without one: `UTC`, `+02:00`, `Europe/Berlin`. Empty: such a time names no point in time.
        include: shell patterns of the sensors to take. Empty: all.
        exclude: shell patterns of sensors not to take, though included.
        rename: new names, by the name in the payload.
        units: units of numbers that come without one, by shell pattern; the first that fits counts.
    """

    device_key: Key = ""
    sensor_key: Key = ""
    value_key: Key = ""
    unit_key: Key = ""
    time_key: Key | Annotated[tuple[Pattern, ...], Meta(min_length=2, max_length=2)] = ""
    time_zone: str = ""
    include: Annotated[tuple[Pattern, ...], Meta(max_length=_MOST)] = ()
    exclude: Annotated[tuple[Pattern, ...], Meta(max_length=_MOST)] = ()
    rename: Annotated[dict[Pattern, str], Meta(max_length=_MOST)] = {}
    units: Annotated[dict[Pattern, Unit], Meta(max_length=_MOST)] = {}


def rules_of(settings: Naming, *, nested: bool = False) -> Rules:
    """The rules for members.readings_of(). In a `nested` format `device_key` and `time_key` may be paths.

    Raises:
        SettingError: a name, zone, unit or path that is none, or one key for two things.
    """
    for old, new in settings.rename.items():
        if not is_name(new):
            problem = f"{new!r} is no name; allowed: 1 to {NAME_LIMIT} printable characters, not blank"
            raise SettingError(f"rename.{old}", problem)
    for pattern, unit in settings.units.items():
        if not unit.isprintable():
            raise SettingError(f"units.{pattern}", f"{unit!r} is no unit; allowed: printable characters")
    clock = _clock(settings)
    device, device_path = _key_or_path(settings.device_key, "device_key", nested=nested)
    time_path: Path = ()
    if nested and len(clock.keys) == 1:
        key, time_path = _key_or_path(clock.keys[0], "time_key", nested=True)
        clock = msgspec.structs.replace(clock, keys=(key,) if key else ())
    sensor, value = settings.sensor_key or DEFAULT.sensor, settings.value_key or DEFAULT.value
    unit = settings.unit_key or DEFAULT.unit
    if not settings.device_key:
        device = DEFAULT.device
    keys = [key for key in (device, sensor, value, unit, *clock.keys) if key]
    if twice := {key for key in keys if keys.count(key) > 1}:
        listed = "device_key, sensor_key, value_key, unit_key and time_key"
        raise SettingError("", f"{twice.pop()!r} is not allowed for two of {listed}, set or by default")
    return Rules(device, sensor, value, unit, clock, device_path, time_path, select=selection(settings))


def selection(settings: Naming) -> Callable[[list[Reading]], list[Reading]] | None:
    """What takes, renames and gives units to readings as the settings want; None if they want nothing."""
    include, exclude = settings.include, settings.exclude
    if not (include or exclude or settings.rename or settings.units):
        return None

    @functools.lru_cache(maxsize=1024)
    def choose(sensor: str) -> tuple[str, str] | None:
        """Name and unit of a sensor; None if it is not taken."""
        if include and not any(fnmatchcase(sensor, pattern) for pattern in include):
            return None
        if any(fnmatchcase(sensor, pattern) for pattern in exclude):
            return None
        units = (unit for pattern, unit in settings.units.items() if fnmatchcase(sensor, pattern))
        return settings.rename.get(sensor, sensor), next(units, "")

    def select(readings: list[Reading]) -> list[Reading]:
        taken = []
        for reading in readings:
            sensor = reading.sensor
            # A name that is none is refused later; a long one must not stay in the cache.
            choice = choose(sensor) if len(sensor) <= NAME_LIMIT else (sensor, "")
            if choice is None:
                continue
            name, unit = choice
            unit = reading.unit or (unit if type(reading.value) in (int, float) else "")
            if name is not sensor or unit is not reading.unit:
                reading = Reading(  # noqa: PLW2901 - the same reading, as the settings want it
                    reading.device, name, reading.value, reading.time, reading.source, reading.received, unit
                )
            taken.append(reading)
        return taken

    return select


def _clock(settings: Naming) -> Clock:
    key = settings.time_key
    try:
        zone = zone_of(settings.time_zone) if settings.time_zone else None
    except ValueError as error:
        raise SettingError("time_zone", str(error)) from None
    if not key:
        return Clock(zone=zone)
    return Clock((key,), zone=zone, chosen=True) if isinstance(key, str) else Clock(key, True, zone, True)


def _key_or_path(text: str, key: str, *, nested: bool) -> tuple[str, Path]:
    """A key to look for beside and above the values, or a path to follow; the other is empty."""
    if not (nested and text):
        return text, ()
    try:
        path = parse_path(text)
    except ValueError as error:
        raise SettingError(key, str(error)) from None
    if None in path:
        raise SettingError(key, f"{text!r} has a `*`; allowed: a path to one place")
    return (path[0] or "", ()) if len(path) == 1 else ("", path)
