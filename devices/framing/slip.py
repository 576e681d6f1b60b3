"""SLIP (RFC 1055): `c0` ends a frame, and inside it `db dc` stands for c0 and `db dd` for db.

Many senders begin a frame with `c0` as well: nothing between two of them is no frame.
"""

from typing import Any, Final

import msgspec

from devices.framing.checksum import Checksum
from devices.framing.common import Framing
from devices.framing.delimited import Delimited

_WRONG: Final = "a SLIP escape that means nothing: damaged on the way, or no SLIP"
_MEANS: Final = {0xDC: b"\xc0", 0xDD: b"\xdb"}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What its frames end with.

    Attributes:
        checksum: at the end of each frame, covering what the escapes stand for; see checksum.py.
    """

    checksum: str | dict[str, Any] = ""


def framing(settings: Settings, key: str, check: Checksum | None, max_frame: int) -> Framing:  # noqa: ARG001
    """See make_framing."""
    return Delimited(b"\xc0", max_frame, check, decode)


def decode(raw: bytes) -> bytes | str | None:
    """See delimited.Unpack."""
    if b"\xdb" not in raw:
        return raw or None
    first, *others = raw.split(b"\xdb")
    pieces = [first]
    for other in others:
        meant = _MEANS.get(other[0]) if other else None
        if meant is None:
            return _WRONG
        pieces += (meant, other[1:])
    return b"".join(pieces)
