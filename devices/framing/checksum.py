"""Checksums at the end of frames: checked, and taken off; or put on, by what pretends to be a device.

CRCs bear the names of the RevEng catalogue (reveng.sourceforge.io/crc-catalogue), because "CRC-16" and "CCITT" mean
several things. The C functions of the standard library compute those with the polynomial 0x1021, the reflected ones by
way of reflected bytes; CRC-16/MODBUS is a table and a loop.
"""

import functools
import operator
import zlib
from binascii import crc_hqx
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from devices.errors import SettingError
from devices.settings import convert

WRONG: Final = "checksum wrong: damaged on the way, or another checksum than the one set"

_REFLECTED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _modbus_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1  # noqa: PLW2901 - the register of the CRC
        table.append(value)
    return tuple(table)


_MODBUS: Final = _modbus_table()


def _crc16_modbus(data: bytes) -> int:
    crc, table = 0xFFFF, _MODBUS
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


def _reflected_hqx(data: bytes, start: int) -> int:
    high, low = divmod(crc_hqx(data.translate(_REFLECTED), start), 256)
    return _REFLECTED[low] << 8 | _REFLECTED[high]


class _Kind(NamedTuple):
    """How a checksum is computed, how many bytes it has, which comes first, and whether zeros sum up to zero."""

    compute: Callable[[bytes], int]
    width: int
    order: Literal["big", "little"]
    weak: bool


_KINDS: Final = {
    "crc16-modbus": _Kind(_crc16_modbus, 2, "little", weak=False),
    "crc16-ibm-3740": _Kind(lambda data: crc_hqx(data, 0xFFFF), 2, "big", weak=False),
    "crc16-xmodem": _Kind(lambda data: crc_hqx(data, 0), 2, "big", weak=True),
    "crc16-kermit": _Kind(lambda data: _reflected_hqx(data, 0), 2, "little", weak=True),
    "crc16-ibm-sdlc": _Kind(lambda data: _reflected_hqx(data, 0xFFFF) ^ 0xFFFF, 2, "little", weak=False),
    "crc32": _Kind(zlib.crc32, 4, "little", weak=False),
    "sum8": _Kind(lambda data: sum(data) & 0xFF, 1, "big", weak=True),
    "xor8": _Kind(lambda data: functools.reduce(operator.xor, data, 0), 1, "big", weak=True),
}
CHECKSUMS: Final = ("nmea", *_KINDS)


class Checksum(Protocol):
    """Checks frames.

    Attributes:
        size: bytes that it takes at the end of a frame.
        finds: strong enough to find by itself where a frame begins in a stream. Eight bits are not, and a checksum
            that starts from zero is right for any stretch of zeros, which is what a broken wire sends.
    """

    @property
    def size(self) -> int: ...  # noqa: D102 - see Attributes

    @property
    def finds(self) -> bool: ...  # noqa: D102

    def strip(self, frame: bytes) -> bytes | None:
        """The frame without its checksum; None if that is wrong, or if there is nothing else."""


class Sealing(Checksum, Protocol):
    """Makes what it checks."""

    def seal(self, body: bytes) -> bytes:
        """The frame that strip() makes `body` of."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`checksum` of a framing, but for its `kind`.

    Attributes:
        order: which byte comes first: `big` the high one, `little` the low one; empty: as is usual for the kind.
        hex: written as hex digits in text, not as bytes.
        skip: so many bytes at the beginning of the frame are not covered.
    """

    order: Literal["", "big", "little"] = ""
    hex: bool = False
    skip: Annotated[int, Meta(ge=0, le=255)] = 0


class _NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence of NMEA 0183 says all by itself."""


def make_checksum(spec: str | dict[str, Any], key: str = "checksum") -> Sealing | None:
    """The checksum that a setting names: `"crc16-modbus"`, or a table with its `kind` and options. Empty: None.

    Raises:
        SettingError: no such checksum, or options it does not have. `key` is the setting's dotted path.
    """
    if not spec:
        return None
    table = {"kind": spec} if isinstance(spec, str) else dict(spec)
    kind = table.pop("kind", None)
    if not isinstance(kind, str) or kind not in CHECKSUMS:
        raise SettingError(f"{key}.kind", f"{kind!r} is not a checksum; allowed: {', '.join(CHECKSUMS)}")
    if kind == "nmea":
        convert(table, _NoSettings, key, ["kind"])
        return _Nmea()
    return _AtEnd(_KINDS[kind], convert(table, Settings, key, ["kind"]))


class _AtEnd:
    """The last bytes of the frame."""

    def __init__(self, kind: _Kind, settings: Settings) -> None:
        self.size = 2 * kind.width if settings.hex else kind.width
        self.finds = not kind.weak
        self._compute = kind.compute
        self._width = kind.width
        self._order: Literal["big", "little"] = settings.order or kind.order
        self._hex = settings.hex
        self._skip = settings.skip

    def strip(self, frame: bytes) -> bytes | None:
        """See Checksum."""
        body, found = frame[: -self.size], frame[-self.size :]
        covered = body[self._skip :]
        if not covered:
            return None
        return body if (found.upper() if self._hex else found) == self._made(covered) else None

    def seal(self, body: bytes) -> bytes:
        """See Sealing."""
        return body + self._made(body[self._skip :])

    def _made(self, covered: bytes) -> bytes:
        made = self._compute(covered).to_bytes(self._width, self._order)
        return made.hex().upper().encode() if self._hex else made


class _Nmea:
    """`$GPRMC,...*5A`: a star and the exclusive or, in hex, of all between the first character and the star."""

    size = 3
    finds = False

    def strip(self, frame: bytes) -> bytes | None:
        """See Checksum."""
        body, found = frame[:-3], frame[-3:]
        if body[:1] not in {b"$", b"!"}:
            return None
        return body if found.upper() == self.seal(body)[-3:] else None

    def seal(self, body: bytes) -> bytes:
        """See Sealing."""
        return body + b"*%02X" % functools.reduce(operator.xor, body[1:], 0)
