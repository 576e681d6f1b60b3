r"""Where a new framing starts: copy this file, then change it from top to bottom. It is a working framing itself.

First say how the stream looks, as prose and with an example, so that a reader can check the code against it. Here:
bytes written as hex digits between a colon and a line end, as Modbus ASCII does.

    :01030A2B\r\n      the frame 01 03 0a 2b

Then choose the engine. If something stands between frames that no frame contains, it is Delimited, and what is left
to write is how to unpack what stands between two delimiters. If only the beginning, the length or the checksum show
where a frame is, it is Scanned: write _measure(), as in length_prefix.py. Both keep the promises of common.Framing:
any chunking, bounded memory, linear work, finding the next good frame after damage, and the counts.

To make it known: add it to FRAMINGS in __init__.py, describe it in docs/serial.md, and write its encoder in
tests/support/framed.py: the tests of all framings then try it on garbage, torn frames and flipped bits.
"""

from typing import Any, Final

import msgspec

from devices.framing.checksum import Checksum
from devices.framing.common import Framing
from devices.framing.delimited import Delimited

# Say what is wrong and what to look at; quote nothing of the data.
_NO_HEX: Final = (
    "not a colon and pairs of hex digits: damaged on the way, or another framing than the one set"
)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person may set: only what the stream cannot say and devices differ in.

    Attributes:
        checksum: every framing has it; at the end of the frame that decode() returns. See checksum.py.
    """

    checksum: str | dict[str, Any] = ""


def framing(settings: Settings, key: str, check: Checksum | None, max_frame: int) -> Framing:  # noqa: ARG001
    """See make_framing. `key` is for a SettingError that names a wrong setting, as in delimiter.py."""
    return Delimited(b"\r\n", max_frame, check, decode)


def decode(raw: bytes) -> bytes | str | None:
    """See delimited.Unpack: the frame, or in words why it is none, or None where there is nothing to speak of."""
    if not raw:
        return None
    try:
        digits = raw[raw.rindex(b":") + 1 :]  # behind the last one: before it stands the rest of a torn frame
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return _NO_HEX
