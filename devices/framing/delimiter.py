"""Frames that end in any bytes but those of a line: a carriage return alone, an ETX, a NUL, `##`."""

from typing import Any

import msgspec

from devices.errors import SettingError
from devices.framing.checksum import Checksum
from devices.framing.common import Framing, hex_bytes
from devices.framing.delimited import Delimited


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What its frames end with.

    Attributes:
        delimiter: one byte or more, in hex: `"0d"`. What is a delimiter is never inside a frame.
        checksum: at the end of each frame, before the delimiter; see checksum.py.
    """

    delimiter: str
    checksum: str | dict[str, Any] = ""


def framing(settings: Settings, key: str, check: Checksum | None, max_frame: int) -> Framing:
    """See make_framing."""
    delimiter = hex_bytes(settings.delimiter, f"{key}.delimiter")
    if not delimiter:
        raise SettingError(f"{key}.delimiter", "is empty: it takes one byte or more, in hex")
    return Delimited(delimiter, max_frame, check)
