"""Framings cut a stream of bytes into frames: one file each, a flat table of names, imported on use.

Sans-I/O: bytes are pushed in, frames come out; a framing knows nothing of ports and clocks. common.Framing says what
all of them promise.

Each module offers `Settings` (a frozen msgspec struct that forbids unknown keys, with a `checksum`) and
`framing(settings, key, check, max_frame) -> Framing`. `template.py` is where a new one starts.
"""

import importlib
from typing import Any, Final

from devices.errors import SettingError
from devices.framing.checksum import make_checksum
from devices.framing.common import KEPT, MAX_FRAME, UNENDING, Counts, Damaged, Framing
from devices.settings import convert

FRAMINGS: Final = {
    "line": "devices.framing.line",
    "delimiter": "devices.framing.delimiter",
    "fixed": "devices.framing.fixed",
    "length-prefix": "devices.framing.length_prefix",
    "start-end": "devices.framing.start_end",
    "cobs": "devices.framing.cobs",
    "slip": "devices.framing.slip",
}

__all__ = ["FRAMINGS", "KEPT", "MAX_FRAME", "UNENDING", "Counts", "Damaged", "Framing", "make_framing"]


def make_framing(spec: str | dict[str, Any], key: str = "framing", max_frame: int = MAX_FRAME) -> Framing:
    """The framing that a setting names: `"line"`, or a table such as `{ kind = "fixed", length = 32, ... }`.

    `max_frame` is the longest frame in bytes, as they come: with all that frames it, but for a delimiter.

    Raises:
        SettingError: no such framing, or options it does not have. `key` is the setting's dotted path.
    """
    table = {"kind": spec} if isinstance(spec, str) else dict(spec)
    kind = table.pop("kind", None)
    if not isinstance(kind, str) or kind not in FRAMINGS:
        raise SettingError(f"{key}.kind", f"{kind!r} is not a framing; allowed: {', '.join(FRAMINGS)}")
    module = importlib.import_module(FRAMINGS[kind])
    settings = convert(table, module.Settings, key, ["kind"])
    check = make_checksum(settings.checksum, f"{key}.checksum")
    made: Framing = module.framing(settings, key, check, max_frame)
    return made
