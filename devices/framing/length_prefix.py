"""Frames that say how long they are: `aa 55 | 04 | 10 20 30 40 | crc`.

A length that cannot be (longer than `max_frame`, or shorter than what stands around it) is a false start. What is
handed on begins with `start` and the length, so that offsets are those of the data sheet, and ends before the checksum.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from devices.errors import SettingError
from devices.framing.checksum import Checksum
from devices.framing.common import Framing, hex_bytes
from devices.framing.scanned import Scanned, check_findable


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How its frames are found and measured.

    Attributes:
        start: bytes that each frame begins with, in hex; empty: any.
        offset: where the length stands, counted from the beginning of the frame; behind `start` if not set.
        width: bytes of the length.
        order: which byte of the length comes first: `big` the high one, `little` the low one.
        extra: bytes of a frame that its length does not count; if not set, those up to the end of the length.
        gap: seconds of quiet in mid-frame after which it counts as cut short; 0: none.
        checksum: at the end of each frame; see checksum.py.
    """

    start: str = ""
    offset: Annotated[int, Meta(ge=0, le=255)] | None = None
    width: Literal[1, 2, 4] = 1
    order: Literal["big", "little"] = "big"
    extra: Annotated[int, Meta(ge=0, le=255)] | None = None
    gap: Annotated[float, Meta(ge=0, le=3600)] = 1.0
    checksum: str | dict[str, Any] = ""


def framing(settings: Settings, key: str, check: Checksum | None, max_frame: int) -> Framing:
    """See make_framing."""
    start = hex_bytes(settings.start, f"{key}.start")
    check_findable(start, check, key)
    offset = len(start) if settings.offset is None else settings.offset
    if offset < len(start):
        raise SettingError(f"{key}.offset", f"{offset} is inside `start`, which has {len(start)} bytes")
    return LengthPrefix(settings, offset, start, check, max_frame)


class LengthPrefix(Scanned):
    """See common.Framing."""

    impossible = "a length that cannot be: noise, or other bytes than those of the length"

    def __init__(
        self, settings: Settings, offset: int, start: bytes, check: Checksum | None, max_frame: int
    ) -> None:
        super().__init__(start, max_frame, check, settings.gap)
        self._offset = offset
        self._head = offset + settings.width
        self._order = settings.order
        self._extra = self._head if settings.extra is None else settings.extra
        self._least = self._head + (check.size if check else 0)

    def _measure(self, at: int) -> int:
        head = self._buffer[at + self._offset : at + self._head]
        if len(self._buffer) < at + self._head:
            return 0
        size = int.from_bytes(head, self._order) + self._extra
        return size if self._least <= size <= self._max_frame else -1
