"""What stands in the state topic: rows of sensors and what is known of gateways, as bytes and back.

A record is a header (magic, version, checksum of the rest) and msgpack. The numbers of a row stand in it as NumPy lays them
out, with a fingerprint of that layout. A row of another layout is taken over field by field if this program knows it
(OLDER): fields that are new begin as those of a new sensor, and fields that are gone are dropped.
"""

import struct
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from devices.reading import is_name
from gateway.detect.events import Sensor
from gateway.detect.state import Row
from gateway.detect.storms import Storm

_HEADER: Final = struct.Struct("<4sBI")
_MAGIC: Final = b"gwds"
_VERSION: Final = 1

Layout = list[Any]
"""A NumPy type as its `descr` says it, with lists for tuples."""

OLDER: Final[Mapping[int, Layout]] = {}
"""The layouts of rows that earlier releases wrote, by fingerprint."""


class StateError(Exception):
    """A record of the state topic cannot be used: the text says why. Its sensor is learned anew."""


class StrangeKeyError(StateError):
    """Its key is none that a record of any sensor or gateway has."""


class SensorState(msgspec.Struct, array_like=True):
    """One sensor.

    Attributes:
        sensor: its names, and its anomalies.
        spools: the ids behind the numbers of spools in the row, in the order of its fields that hold any.
        layout: fingerprint of the layout of the row.
        row: its bytes.
    """

    sensor: Sensor
    spools: list[str]
    layout: int
    row: bytes


class GatewayState(msgspec.Struct, array_like=True):
    """One gateway, as of the record `offset` of the readings topic.

    Attributes:
        storm, gaps: what it raised of late, and when nothing of it was heard.
        layout, row: see SensorState.
        absences: when it did not say that it lives either; none in records of earlier versions.
    """

    gateway: str
    offset: int
    storm: Storm
    gaps: list[tuple[int, int]]
    layout: int
    row: bytes
    absences: list[tuple[int, int]] = []


T = TypeVar("T", SensorState, GatewayState)

# Made now: what msgspec knows of a type it learns at the first use, and two threads that do so at once end the process.
_SENSOR: Final = msgspec.msgpack.Decoder(SensorState)
_GATEWAY: Final = msgspec.msgpack.Decoder(GatewayState)


def sensor_key(key: bytes | None, device: str, sensor: str) -> bytes:
    """The key of a sensor's record."""
    return msgspec.msgpack.encode(("sensor", key, device, sensor))


def gateway_key(gateway: str) -> bytes:
    """The key of a gateway's record."""
    return msgspec.msgpack.encode(("gateway", gateway))


def encode(state: SensorState | GatewayState) -> bytes:
    """The value of a record."""
    body = msgspec.msgpack.encode(state)
    return _HEADER.pack(_MAGIC, _VERSION, zlib.crc32(body)) + body


def decode(key: bytes, value: bytes) -> SensorState | GatewayState:
    """What is in a record.

    Raises:
        StateError: damaged, or of a version that this program does not know; StrangeKeyError: no state.
    """
    try:
        names = msgspec.msgpack.decode(key)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StrangeKeyError(f"not the key of a state: {error}") from None
    match names:
        case ["sensor", None | bytes(), str(device), str(sensor)] if is_name(device) and is_name(sensor):
            return _decode(value, _SENSOR)
        case ["gateway", str()]:
            return _decode(value, _GATEWAY)
    raise StrangeKeyError("not the key of a state")


def _decode(value: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    if len(value) < _HEADER.size:
        raise StateError("damaged: too short")
    magic, version, checksum = _HEADER.unpack_from(value)
    if magic != _MAGIC:
        raise StateError("no state of gateway-detect")
    if version != _VERSION:
        raise StateError(f"version {version} of the state; this program knows version {_VERSION}")
    body = value[_HEADER.size :]
    if zlib.crc32(body) != checksum:
        raise StateError("damaged: the checksum is wrong")
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StateError(f"damaged: {error}") from None


@cache  # taking it is half of what a row costs to restore
def fingerprint(layout: "np.dtype[np.void]") -> int:
    """Names a layout."""
    return zlib.crc32(repr(layout.descr).encode())


def row_of(saved: bytes, layout: int, fresh: Row, older: Mapping[int, Layout] = OLDER) -> Row:
    """The row in these bytes, in the layout of `fresh`, which is the row of a new sensor.

    Raises:
        StateError: of a layout that this program does not know, or damaged.
    """
    kind = fresh.dtype
    if layout != fingerprint(kind):
        if layout not in older:
            raise StateError(
                "another release of this program wrote it, in a layout that this one does not know"
            )
        kind = np.dtype(_descr(older[layout]))
    if len(saved) != kind.itemsize:
        raise StateError(f"damaged: {len(saved)} bytes in place of {kind.itemsize}")
    row: Row = np.frombuffer(bytearray(saved), kind)[
        0
    ]  # copying a row field by field takes ten times as long
    return row if kind == fresh.dtype else _taken_over(row, fresh)


def _descr(layout: Layout) -> Any:
    return [
        (name, _descr(kind) if isinstance(kind, list) else kind, *(tuple(each) for each in shape))
        for name, kind, *shape in layout
    ]


def _taken_over(old: Row, fresh: Row) -> Row:
    """`fresh` with those fields of `old` that it has too, in the same shape."""
    new = fresh.copy()
    for name in set(new.dtype.names or ()) & set(old.dtype.names or ()):
        if new.dtype[name].names and old.dtype[name].names:
            new[name] = _taken_over(old[name], new[name])
        elif new.dtype[name].shape == old.dtype[name].shape and not (
            new.dtype[name].names or old.dtype[name].names
        ):
            new[name] = old[name]
    return new
