"""Frames of numbers at fixed places, as radio sensors, meters and Modbus registers send them.

`fields` lists them from the first byte to the last; each begins where the one before it ends, or `at` a byte. A frame
that is longer or shorter than the last field's end, or than `length`, is refused: it is torn, or another kind of frame.

    fields = [                                       a5 00d7 28 41b4 0000
        { type = "u8" },                             passed over, as it has no name
        { name = "t", type = "i16", scale = 0.1 },   t = 21.5
        { name = "h", type = "u8", unit = "%" },     h = 40 %
        { name = "p", type = "f32" },                p = 22.5
    ]

A value is `number * scale + offset`; of whole numbers and decimal settings the result is the nearest to the exact one:
217 by 0.1 is 21.7. An f32 is told with as many digits as it has: 21.7 and not 21.700000762939453. NaN refuses the frame,
as an infinite number does, unless `none` says that it stands for "not measured", which makes no reading.

A field named `device`, `sensor` or `time` describes the others, as in members.py.
"""

import math
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from devices.decoders.common import UNIT_LIMIT, limit_size
from devices.decoders.members import Members
from devices.errors import DecodeError, SettingError
from devices.reading import NAME_LIMIT, Reading, is_name
from devices.source import Decode, Origin

_SIZES: Final = {
    **{f"{sign}{8 * size}": size for sign in "ui" for size in (1, 2, 3, 4, 6, 8)},
    "f32": 4,
    "f64": 8,
    **{f"bcd{8 * size}": size for size in (1, 2, 3, 4, 6, 8)},
}
_BYTES_LIMIT: Final = 65_536
_WORD: Final = 2
_LEAST_SCALE: Final = 1e-18

Type = Literal[
    "u8", "u16", "u24", "u32", "u48", "u64", "i8", "i16", "i24", "i32", "i48", "i64",
    "f32", "f64", "bcd8", "bcd16", "bcd24", "bcd32", "bcd48", "bcd64",
]  # fmt: skip
Endian = Literal["big", "little", "big-swapped", "little-swapped"]
Factor = Annotated[int, Meta(ge=-(10**18), le=10**18)] | Annotated[float, Meta(ge=-1e18, le=1e18)]
Value = float | int | bool | None


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number of a frame.

    Attributes:
        type: unsigned (u), signed (i), floating-point (f), or two decimal digits a byte (bcd), and how many bits.
        name: names the sensor. Empty: the field is not read.
        at: its first byte, from 0. -1: right behind the field before.
        endian: which byte comes first; the swapped ones exchange the words of 16 bits. Empty: as for the frame.
        bit: the lowest of the bits to take, 0 being that of least value. -1: all bits.
        bits: how many bits to take; a single one is true or false.
        scale, offset: the value is `number * scale + offset`.
        unit: of the value.
        none: numbers, before scaling, that stand for "not measured"; "nan" for any NaN.
    """

    type: Type
    name: Annotated[str, Meta(max_length=NAME_LIMIT)] = ""
    at: Annotated[int, Meta(ge=-1, lt=_BYTES_LIMIT)] = -1
    endian: Endian | Literal[""] = ""
    bit: Annotated[int, Meta(ge=-1, le=63)] = -1
    bits: Annotated[int, Meta(ge=1, le=63)] = 1
    scale: Factor = 1
    offset: Factor = 0
    unit: Annotated[str, Meta(max_length=UNIT_LIMIT)] = ""
    none: Annotated[tuple[int | float | Literal["nan"], ...], Meta(max_length=100)] = ()


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The layout of a frame.

    Attributes:
        fields: its numbers, from the first byte to the last.
        endian: which byte of a number comes first; `big` is ABCD, `little` DCBA, `big-swapped` CDAB, `little-swapped`
            BADC.
        length: bytes of a frame. 0: up to the end of the field that ends last.
    """

    fields: Annotated[tuple[Field, ...], Meta(min_length=1, max_length=1000)]
    endian: Endian = "big"
    length: Annotated[int, Meta(ge=0, le=_BYTES_LIMIT)] = 0


def decoder(settings: Settings) -> Decode:
    """See devices.source.Decode.

    Raises:
        SettingError: fields that make no reading, that do not fit the frame, or whose settings do not fit each other.
    """
    reads: list[tuple[str, str, Callable[[bytes], Value]]] = []
    end = last = 0
    for index, field in enumerate(settings.fields):
        start = end if field.at < 0 else field.at
        end = start + _SIZES[field.type]
        last = max(last, end)
        _check(field, f"fields.{index}", {name for name, _, _ in reads})
        if field.name:
            reads.append(
                (field.name, field.unit, _reader(field, start, end, field.endian or settings.endian))
            )
    if not reads:
        raise SettingError("fields", "names no field; allowed: at least one with a `name`")
    length = settings.length or last
    if last > length:
        raise SettingError("length", f"{length} is not allowed: the fields reach up to byte {last}")
    readings_of = Members().readings

    def decode(data: bytes, origin: Origin, received: int) -> list[Reading]:
        limit_size(data)
        if len(data) != length:
            raise DecodeError(f"{len(data)} bytes where a frame has {length}: torn, or another kind of frame")
        members: dict[str, Any] = {}
        for name, unit, read in reads:
            value = read(data)
            if value is not None:
                members[name] = {"value": value, "unit": unit} if unit else value
        return readings_of(members, origin, received)

    return decode


def _check(field: Field, key: str, before: set[str]) -> None:
    size = 8 * _SIZES[field.type]
    if field.name and (not is_name(field.name) or field.name in before):
        problem = "is the name of two fields" if field.name in before else "is no name"
        raise SettingError(
            f"{key}.name", f"{field.name!r} {problem}; allowed: printable characters, each name once"
        )
    if not field.unit.isprintable():
        raise SettingError(f"{key}.unit", f"{field.unit!r} is no unit; allowed: printable characters")
    if not _LEAST_SCALE <= abs(field.scale) < math.inf:
        raise SettingError(
            f"{key}.scale", f"{field.scale!r} is not allowed; allowed: 1e-18 to 1e18, and negative"
        )
    if not abs(field.offset) < math.inf:
        raise SettingError(f"{key}.offset", f"{field.offset!r} is not allowed; allowed: -1e18 to 1e18")
    if field.bit >= 0 and (field.type[0] != "u" or field.bit + field.bits > size):
        problem = f"{field.bit} is not allowed; allowed: bits within a number of type u, here 0 to {size - field.bits}"
        raise SettingError(f"{key}.bit", problem)
    if field.bit < 0 and field.bits != 1:
        raise SettingError(f"{key}.bits", f"{field.bits} is not allowed without `bit`, the first of them")


def _reader(field: Field, start: int, end: int, endian: Endian) -> Callable[[bytes], Value]:
    """What reads one field of a frame that has the right length; None is "not measured"."""
    number = _number(field, start, end, endian)
    nan_is_none = "nan" in field.none
    nones = frozenset(one for one in field.none if one != "nan")
    scaled = _scaled(field.scale, field.offset)

    def read(data: bytes) -> Value:
        found = number(data)
        if found != found:  # noqa: PLR0124 - NaN
            if nan_is_none:
                return None
            raise DecodeError(
                'NaN in place of a number: the device could not measure; `none = ["nan"]` passes over it'
            )
        if found in nones:
            return None
        if field.bit >= 0 and field.bits == 1:
            return bool(found)
        return scaled(found) if scaled else found

    return read


def _number(field: Field, start: int, end: int, endian: Endian) -> Callable[[bytes], float | int]:
    """What reads the number itself, before it is scaled."""
    order: Literal["big", "little"] = "big" if endian.startswith("big") else "little"
    swapped = endian.endswith("swapped")
    kind, size = field.type, end - start
    shift, mask = max(field.bit, 0), (1 << field.bits) - 1 if field.bit >= 0 else (1 << 8 * size) - 1

    def taken(data: bytes) -> bytes:
        part = data[start:end]
        if not swapped:
            return part
        return b"".join(part[at : at + _WORD] for at in reversed(range(0, size, _WORD)))

    if kind[0] == "f":
        unpack = struct.Struct((">" if order == "big" else "<") + ("f" if size == 4 else "d")).unpack  # noqa: PLR2004
        shorten = _shortest_f32 if kind == "f32" else float
        return lambda data: shorten(unpack(taken(data))[0])
    if kind[0] == "b":
        return lambda data: _bcd(taken(data), order)
    if kind[0] == "i":
        return lambda data: int.from_bytes(taken(data), order, signed=True)
    return lambda data: int.from_bytes(taken(data), order) >> shift & mask


def _bcd(part: bytes, order: str) -> int:
    digits = (part if order == "big" else part[::-1]).hex()
    if not digits.isdecimal():
        raise DecodeError("a half byte above 9 where two decimal digits make a byte")
    return int(digits)


def _shortest_f32(number: float) -> float:
    """The number with the fewest decimal digits that is the same f32."""
    for digits in (7, 8):
        short = float(f"{number:.{digits}g}")
        try:
            if struct.unpack("f", struct.pack("f", short))[0] == number:
                return short
        except OverflowError:  # rounded up beyond the largest f32
            break
    return number


def _scaled(scale: Factor, offset: Factor) -> Callable[[float | int], float | int] | None:
    """What makes a value of a number; None if nothing is to be done."""
    if scale == 1 and offset == 0:
        return None
    if isinstance(scale, int) and isinstance(offset, int):
        return lambda number: number * scale + offset
    # Exact, then rounded once: 217 * 0.1 in floating-point numbers is 21.700000000000003.
    factor, addend = Fraction(str(scale)), Fraction(str(offset))
    below = factor.denominator * addend.denominator
    times, plus = factor.numerator * addend.denominator, addend.numerator * factor.denominator

    def scaled(number: float | int) -> float | int:  # noqa: PYI041 - what a whole number becomes matters here
        if isinstance(number, int):
            return (number * times + plus) / below
        return number * scale + offset

    return scaled
