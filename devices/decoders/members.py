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

naming.py has the settings that give these keys other names, and that take, rename and complete what is made here.
A describing key whose value is of another type is a member like any other. Where the origin names a sensor, every name
begins with it: topic sensor `inlet` and `{"t": 21}` make `inlet.t`; `{"value": 21}` makes `inlet`. Where nothing does,
`{"value": 21}` is the sensor `value`. In an array at the top each object stands for itself, without a number.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from devices.decoders.common import READINGS_LIMIT, checked, too_many
from devices.decoders.paths import Path, step_into, take
from devices.decoders.times import Clock
from devices.errors import DecodeError
from devices.reading import NAME_LIMIT, Reading
from devices.source import Origin

DEPTH_LIMIT: Final = 16
"""Deepest nesting below the top. Real payloads stay below six."""

_NAMES = (str, int)
_STAMPS = (str, int, float)
_NUMBERS = (float, int)


class Rules(msgspec.Struct, frozen=True):
    """Which members describe the others, where values stand, and what is done with the readings.

    Attributes:
        device, sensor, value, unit: names of the members that mean this; `device` may be empty.
        clock: names of the members that tell the time, perhaps none, and how to read it.
        device_path, time_path: where else device and time stand: followed from the place of the values, and if
            nothing is there, from the top. Empty: nowhere else.
        places: paths to the places where the values stand. Empty: the top.
        select: takes, renames and completes readings; None: they stay as they are.
    """

    device: str = "device"
    sensor: str = "sensor"
    value: str = "value"
    unit: str = "unit"
    clock: Clock = Clock()
    device_path: Path = ()
    time_path: Path = ()
    places: tuple[Path, ...] = ()
    select: Callable[[list[Reading]], list[Reading]] | None = None

    def naming(self) -> frozenset[str]:
        """Keys whose words stay texts where a format has no types: a device `007` is not 7, a time `0900` not 900."""
        dates = self.clock.keys if self.clock.joined else ()
        return frozenset({self.device, self.sensor, self.unit, *dates} - {""})

    def describing(self) -> frozenset[str]:
        """Keys that make no reading of their own."""
        return self.naming().union(self.clock.keys)


DEFAULT: Final = Rules()


class _Scope(msgspec.Struct, frozen=True, gc=False):
    """What is known about the values at one place of the payload."""

    origin: Origin
    received: int
    device: str
    path: str
    time: int
    unit: str = ""
    depth: int = 0


class Members:
    """Makes readings of documents, by rules that are prepared once."""

    def __init__(self, rules: Rules = DEFAULT) -> None:
        self.naming = rules.naming()
        self._rules = rules
        self._describing = rules.describing()
        self._value_key = rules.value
        self._select = rules.select
        self._plain = not (rules.places or rules.device_path or rules.time_path)

    def readings(self, document: Any, origin: Origin, received: int) -> list[Reading]:
        """The readings in a document made of dict (with text keys), list, str, int, float, bool and None.

        The document belongs to this call, which may change it.

        Raises:
            DecodeError: too deep, too many, or something in it cannot be a reading.
        """
        made: list[Reading] = []
        scope = _Scope(origin, received, origin.device, origin.sensor, received)
        if self._plain:
            self._place(document, scope, made)
        else:
            self._found(document, scope, made)
        return checked(self._select(made) if self._select else made)

    def _place(self, value: Any, scope: _Scope, made: list[Reading]) -> None:
        """A payload, or a part of it that is read as if it were one."""
        if type(value) is dict:
            self._members(value, scope, made)
        elif type(value) is list:
            _limit_count(value, made)
            for index, element in enumerate(value):
                if type(element) is not dict:
                    self._members({str(index): element}, scope, made)
                else:
                    self._members(element, scope if self._plain else self._looked_up(element, scope), made)
        elif value is not None:
            origin = scope.origin
            made.append(
                Reading(
                    scope.device, scope.path, value, scope.time, origin.source, scope.received, scope.unit
                )
            )

    def _found(self, document: Any, scope: _Scope, made: list[Reading]) -> None:
        """The values at each place that the paths lead to."""
        scope = self._looked_up(document, scope)
        for path in self._rules.places or ((),):
            for value, around in self._follow(document, path, scope):
                self._place(value, self._looked_up(value, around) if path else around, made)

    def _looked_up(self, value: Any, scope: _Scope) -> _Scope:
        """The scope, with what the paths of device and time lead to from here."""
        device, time = scope.device, scope.time
        if path := self._rules.device_path:
            found = take(value, path)
            device = (str(found) if type(found) in _NAMES else "") or device
        if path := self._rules.time_path:
            time = self._rules.clock.read(take(value, path)) or time
        return msgspec.structs.replace(scope, device=device, time=time)

    def _follow(self, value: Any, path: Path, scope: _Scope) -> Iterator[tuple[Any, _Scope]]:
        """What a path leads to, and what is known there. A bare value comes as an object of one member."""
        if not path:
            yield value, scope
            return
        if type(value) is dict and not self._describing.isdisjoint(value):
            value, scope = self._described(value, scope)
        step, rest = path[0], path[1:]
        for name, child in _children(value, step):
            if rest or type(child) in (dict, list):
                # A name that the star stands for tells values apart; the path itself says nothing new.
                label = self._name(scope.path, name) if step is None and type(value) is dict else scope.path
                yield from self._follow(child, rest, _below(scope, label))
            elif child is not None:
                yield {name: child}, scope

    def _members(self, members: dict[str, Any], scope: _Scope, made: list[Reading]) -> None:
        _limit_count(members, made)
        if not self._describing.isdisjoint(members):
            members, scope = self._described(members, scope)
        path, device, time, source = scope.path, scope.device, scope.time, scope.origin.source
        value_key = self._value_key
        for key, value in members.items():
            kind = type(value)
            name = key if not path else path if key == value_key else f"{path}.{key}"  # as _name(), in place
            if kind is dict:
                self._members(value, _below(scope, name), made)
            elif kind is list:
                elements = {str(i): element for i, element in enumerate(value)}
                self._members(elements, _below(scope, name), made)
            elif value is not None:
                unit = scope.unit if kind in _NUMBERS else ""
                made.append(Reading(device, name, value, time, source, scope.received, unit))

    def _name(self, path: str, key: str) -> str:
        return key if not path else path if key == self._value_key else f"{path}.{key}"

    def _described(self, members: dict[str, Any], scope: _Scope) -> tuple[dict[str, Any], _Scope]:
        """The members that are values, and what the others say about them."""
        rules, clock = self._rules, self._rules.clock
        rest: dict[str, Any] = {}
        device, path, unit, time = scope.device, scope.path, "", None
        for key, value in members.items():
            kind = type(value)
            if key not in self._describing:
                rest[key] = value
            elif key in clock.keys and kind in _STAMPS:
                if not clock.joined:
                    time = time or clock.read(value)
            elif key == rules.device and kind in _NAMES:
                device = str(value) or device
            elif key == rules.sensor and kind in _NAMES:
                path = str(value) or path
            elif key == rules.unit and kind is str:
                unit = value
            else:
                rest[key] = value
        if clock.joined:
            time = clock.join(members)
        return rest, _Scope(scope.origin, scope.received, device, path, time or scope.time, unit, scope.depth)


def _children(value: Any, step: str | None) -> Iterator[tuple[str, Any]]:
    """What one step of a path leads to, with names."""
    if step is not None:
        yield step, step_into(value, step)
    elif type(value) is dict:
        yield from value.items()
    elif type(value) is list:
        _limit_count(value, [])
        for index, element in enumerate(value):
            yield str(index), element


def _below(scope: _Scope, name: str) -> _Scope:
    if scope.depth >= DEPTH_LIMIT:
        raise DecodeError(f"nested more than {DEPTH_LIMIT} levels deep")
    if len(name) > NAME_LIMIT:  # before thousands of names are built on it
        raise DecodeError(f"the name of a sensor is longer than {NAME_LIMIT} characters")
    return _Scope(scope.origin, scope.received, scope.device, name, scope.time, "", scope.depth + 1)


def _limit_count(values: dict[str, Any] | list[Any], made: list[Reading]) -> None:
    if len(made) + len(values) > READINGS_LIMIT:
        raise too_many()
