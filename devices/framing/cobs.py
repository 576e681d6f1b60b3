"""COBS (Consistent Overhead Byte Stuffing): `00` ends a frame and occurs nowhere in it.

A frame is a chain of blocks: one byte that says where the next block begins, and the bytes up to there. Between two
blocks stood a zero, unless the first of them is as long as a block can be (`ff`).
"""

from typing import Any, Final

import msgspec

from devices.framing.checksum import Checksum
from devices.framing.common import Framing
from devices.framing.delimited import Delimited

_CUT: Final = "cut short: a COBS block without its end; damaged on the way, or no COBS"
_LONGEST: Final = 0xFF


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What its frames end with.

    Attributes:
        checksum: at the end of each frame, before it was encoded; see checksum.py.
    """

    checksum: str | dict[str, Any] = ""


def framing(settings: Settings, key: str, check: Checksum | None, max_frame: int) -> Framing:  # noqa: ARG001
    """See make_framing."""
    return Delimited(b"\0", max_frame, check, decode)


def decode(raw: bytes) -> bytes | str | None:
    """See delimited.Unpack."""
    if not raw:
        return None
    plain = bytearray()
    at, end = 0, len(raw)
    while True:
        code = raw[at]
        begin, at = at + 1, at + code
        if at > end:
            return _CUT
        plain += raw[begin:at]
        if at == end:
            return bytes(plain)
        if code < _LONGEST:
            plain.append(0)
