"""Kinds of source and the modules that serve them, imported on use: a gateway without MQTT never loads paho.

The modules of a kind offer `Settings`, a frozen msgspec struct that forbids unknown keys, and
`open_source(name, settings, home) -> Source`, which checks what it can without touching the world.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from devices.errors import SettingError
from devices.settings import convert
from devices.source import NO_HOME, Home, Source


class Kind(NamedTuple):
    """The modules of a kind: the one with its settings, and the one with what takes longer to load."""

    settings: str
    source: str


KINDS: Final = {
    "serial": Kind("devices.serial_port.source", "devices.serial_port.source"),
    "mqtt": Kind("devices.mqtt.settings", "devices.mqtt.source"),
    "simulator": Kind("devices.simulator", "devices.simulator"),
    "replay": Kind("devices.simulator.replay", "devices.simulator.replay"),
}


def settings_type(kind: Any, key: str) -> type[msgspec.Struct]:
    """The settings struct of a kind of source.

    Raises:
        SettingError: no such kind.
    """
    if kind not in KINDS:
        raise SettingError(f"{key}.kind", f"{kind!r} is not a kind of source; allowed: {', '.join(KINDS)}")
    found: type[msgspec.Struct] = importlib.import_module(KINDS[kind].settings).Settings
    return found


def open_source(
    name: str, table: dict[str, Any], home: Home = NO_HOME, key: str = "", also: Sequence[str] = ()
) -> Source:
    """Make the source that a TOML table describes. Touches no port and no network.

    `home` is the gateway that it works for; `key` the table's dotted path, `sources.NAME` if
    empty; `also` keys of the table that the caller took out.

    Raises:
        SettingError: unknown kind, unknown key, or a value that is not allowed.
    """
    key = key or f"sources.{name}"
    rest = dict(table)
    kind = rest.pop("kind", None)
    settings = convert(rest, settings_type(kind, key), key, ["kind", *also])
    source: Source = importlib.import_module(KINDS[kind].source).open_source(name, settings, home)
    return source


def left_behind(home: Home, tables: Mapping[str, dict[str, Any]]) -> list[str]:
    """What sources that are no longer among `tables` left at their other side: a sentence each, with how to end it."""
    folder = home.folder
    if folder is None or not folder.is_dir():
        return []
    mqtt = [name for name, table in tables.items() if table.get("kind") == "mqtt"]
    return list(importlib.import_module("devices.mqtt.session").orphans(folder, mqtt))
