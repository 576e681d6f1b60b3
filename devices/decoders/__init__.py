"""Payload formats: one file each, a flat table of names, imported on use.

Each module offers `Settings` (a frozen msgspec struct that forbids unknown keys; empty if there is nothing to set)
and `decoder(settings) -> Decode`, which may raise a SettingError whose key is that of the option. `template.py` is where a new one starts.
"""

import importlib
from typing import Any, Final

from devices.errors import SettingError
from devices.settings import convert
from devices.source import Decode

DECODERS: Final = {
    "json": "devices.decoders.json_payload",
    "keyvalue": "devices.decoders.keyvalue",
    "csv": "devices.decoders.csv_row",
    "scalar": "devices.decoders.scalar",
    "regex": "devices.decoders.regex",
    "binary": "devices.decoders.binary",
}


def make_decoder(spec: str | dict[str, Any], key: str = "decoder") -> Decode:
    """The decoder that a setting names: `"json"`, or a table such as `{ kind = "csv", columns = [...] }`.

    Raises:
        SettingError: no such decoder, or options it does not have. `key` is the setting's dotted path.
    """
    table = {"kind": spec} if isinstance(spec, str) else dict(spec)
    kind = table.pop("kind", None)
    if not isinstance(kind, str) or kind not in DECODERS:
        raise SettingError(f"{key}.kind", f"{kind!r} is not a decoder; allowed: {', '.join(DECODERS)}")
    module = importlib.import_module(DECODERS[kind])
    settings = convert(table, module.Settings, key, ["kind"])
    try:
        made: Decode = module.decoder(settings)
    except SettingError as error:
        raise SettingError(".".join(filter(None, [key, error.key])), error.problem) from None
    return made
