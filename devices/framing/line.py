r"""Lines that end in `\n` or `\r\n`, as nearly every microcontroller prints them.

An empty line is a frame: decoders ignore it, and it is counted. With a checksum it is none, as it has no checksum.
"""

from typing import Any

import msgspec

from devices.framing.checksum import Checksum
from devices.framing.common import MAX_FRAME, Framing
from devices.framing.delimited import Delimited


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What its lines end with.

    Attributes:
        checksum: at the end of each line; see checksum.py.
    """

    checksum: str | dict[str, Any] = ""


def framing(settings: Settings, key: str, check: Checksum | None, max_frame: int) -> Framing:  # noqa: ARG001
    """See make_framing."""
    return LineFraming(max_frame, check)


class LineFraming(Delimited):
    r"""See Delimited. A `\r` at the end of a line counts towards `max_frame`."""

    strip = b"\r"
    too_long = "a line of more than {} bytes: wrong baud rate, or a device that sends no line ends"

    def __init__(self, max_frame: int = MAX_FRAME, check: Checksum | None = None) -> None:
        super().__init__(b"\n", max_frame, check)
