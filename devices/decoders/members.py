"""What named values mean, whatever format they came in: the rules that json, keyvalue and csv share.

A payload is an object of members. Numbers, booleans and texts are readings named by their key; null is none. A nested
object or array goes on with `.`: `{"out": {"t": 21}}` is `out.t`, `{"phase": [230, 231]}` is `phase.0` and `phase.1`.
A few keys describe the values beside them and below them instead:

    device     names the device; text or a whole number
    sensor     names the sensor: stands in place of the keys so far, and of the topic's sensor
    value      is the value of the sensor named so far: `{"t": {"value": 21.5, "unit": "°C"}}` is `t`
    unit       of the numbers beside it
    time       when it was measured: see times.py; also `timestamp`, `ts`, `Time`. What names no point in time
               is passed over, and the time of receipt stands.

A describing key whose value is of another type is a member like any other. Where the origin names a sensor, every name
begins with it: topic sensor `inlet` and `{"t": 21}` make `inlet.t`; `{"value": 21}` makes `inlet`. Where nothing does,
`{"value": 21}` is the sensor `value`. In an array at the top each object stands for itself, without a number.
"""

from typing import Any, Final

import msgspec

from devices.decoders.common import READINGS_LIMIT, checked, too_many
from devices.decoders.times import time_of
from devices.errors import DecodeError
from devices.reading import NAME_LIMIT, Reading
from devices.source import Origin

DEPTH_LIMIT: Final = 16
"""Deepest nesting below the top. Real payloads stay below six."""

NAMING: Final = frozenset({"device", "sensor", "unit"})
"""Keys whose words stay texts where a format has no types: a device `007` is not 7."""

_TIMES = ("time", "timestamp", "ts", "Time")
_DESCRIBING = NAMING.union(_TIMES)
_NAMES = (str, int)
_STAMPS = (str, int, float)
_NUMBERS = (float, int)


class _Scope(msgspec.Struct, frozen=True, gc=False):
    """What is known about the values at one place of the payload."""

    origin: Origin
    received: int
    device: str
    path: str
    time: int
    unit: str = ""
    depth: int = 0


def readings_of(document: Any, origin: Origin, received: int) -> list[Reading]:
    """The readings in a document made of dict (with text keys), list, str, int, float, bool and None.

    Raises:
        DecodeError: too deep, too many, or something in it cannot be a reading.
    """
    made: list[Reading] = []
    scope = _Scope(origin, received, origin.device, origin.sensor, received)
    if type(document) is dict:
        _members(document, scope, made)
    elif type(document) is list:
        _limit_count(document, made)
        for index, element in enumerate(document):
            _members(element if type(element) is dict else {str(index): element}, scope, made)
    elif document is not None:
        made.append(Reading(origin.device, origin.sensor, document, received, origin.source, received))
    return checked(made)


def _members(members: dict[str, Any], scope: _Scope, made: list[Reading]) -> None:
    _limit_count(members, made)
    if not _DESCRIBING.isdisjoint(members):
        members, scope = _described(members, scope)
    path, device, time, source = scope.path, scope.device, scope.time, scope.origin.source
    for key, value in members.items():
        kind = type(value)
        name = key if not path else path if key == "value" else f"{path}.{key}"
        if kind is dict:
            _members(value, _below(scope, name), made)
        elif kind is list:
            _members({str(i): element for i, element in enumerate(value)}, _below(scope, name), made)
        elif value is not None:
            unit = scope.unit if kind in _NUMBERS else ""
            made.append(Reading(device, name, value, time, source, scope.received, unit))


def _described(members: dict[str, Any], scope: _Scope) -> tuple[dict[str, Any], _Scope]:
    """The members that are values, and what the others say about them."""
    rest: dict[str, Any] = {}
    device, path, unit, time = scope.device, scope.path, "", None
    for key, value in members.items():
        kind = type(value)
        if key not in _DESCRIBING:
            rest[key] = value
        elif key in _TIMES and kind in _STAMPS:
            time = time or time_of(value)
        elif key == "device" and kind in _NAMES:
            device = str(value) or device
        elif key == "sensor" and kind in _NAMES:
            path = str(value) or path
        elif key == "unit" and kind is str:
            unit = value
        else:
            rest[key] = value
    return rest, _Scope(scope.origin, scope.received, device, path, time or scope.time, unit, scope.depth)


def _below(scope: _Scope, name: str) -> _Scope:
    if scope.depth >= DEPTH_LIMIT:
        raise DecodeError(f"nested more than {DEPTH_LIMIT} levels deep")
    if len(name) > NAME_LIMIT:  # before thousands of names are built on it
        raise DecodeError(f"the name of a sensor is longer than {NAME_LIMIT} characters")
    return _Scope(scope.origin, scope.received, scope.device, name, scope.time, "", scope.depth + 1)


def _limit_count(values: dict[str, Any] | list[Any], made: list[Reading]) -> None:
    if len(made) + len(values) > READINGS_LIMIT:
        raise too_many()
