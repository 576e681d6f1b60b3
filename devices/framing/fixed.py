"""Frames of one length, as sensors send that have one thing to say: `42 4d 00 1c ... ` (a particle counter, 32 bytes).

They begin with `start`, or their checksum tells where they begin. What is handed on begins with `start`, so that
offsets are those of the data sheet, and ends before the checksum.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from devices.framing.checksum import Checksum
from devices.framing.common import Framing, hex_bytes
from devices.framing.scanned import Scanned, check_findable


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How its frames are found.

    Attributes:
        length: bytes of a frame, from the first of `start` to the last of the checksum.
        start: bytes that each frame begins with, in hex; empty: any.
        gap: seconds of quiet in mid-frame after which it counts as cut short; 0: none.
        checksum: at the end of each frame; see checksum.py.
    """

    length: Annotated[int, Meta(ge=1, le=65_536)]
    start: str = ""
    gap: Annotated[float, Meta(ge=0, le=3600)] = 1.0
    checksum: str | dict[str, Any] = ""


def framing(settings: Settings, key: str, check: Checksum | None, max_frame: int) -> Framing:  # noqa: ARG001
    """See make_framing."""
    start = hex_bytes(settings.start, f"{key}.start")
    check_findable(start, check, key)
    return Fixed(settings.length, start, check, settings.gap)


class Fixed(Scanned):
    """See common.Framing."""

    def __init__(self, length: int, start: bytes, check: Checksum | None, gap: float) -> None:
        super().__init__(start, length, check, gap)

    def _measure(self, at: int) -> int:  # noqa: ARG002 - the same everywhere
        return self._max_frame
