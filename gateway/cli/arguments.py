"""The source of a configuration that several commands are about."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from devices import registry
from devices.errors import SettingError
from devices.settings import convert
from gateway.config import GatewayConfig, SourceKeys, load
from gateway.config_files import refusal


def source_table(config: GatewayConfig, path: Path, name: str) -> dict[str, Any]:
    """The table of a source, without the keys that the gateway keeps for itself. `path` is the file, for messages.

    Raises:
        ConfigError: there is no such source.
    """
    sources = config.sources
    if name not in sources:
        raise refusal(path, SettingError(f"sources.{name}", f"there is none; allowed: {', '.join(sources)}"))
    common = {field.encode_name for field in msgspec.structs.fields(SourceKeys)} - {"kind"}
    return {key: value for key, value in sources[name].items() if key not in common}


def settings_of(path: Path, name: str, table: Mapping[str, Any]) -> Any:
    """The settings, of its kind, that the table of the source `name` holds.

    Raises:
        ConfigError: it is wrong.
    """
    own = {key: value for key, value in table.items() if key != "kind"}
    try:
        kind = registry.settings_type(table.get("kind"), f"sources.{name}")
        return convert(own, kind, f"sources.{name}")
    except SettingError as error:
        raise refusal(path, error) from None


def source_settings(path: Path, name: str) -> Any:
    """The settings, of its kind, of the source `name` in the configuration file `path`.

    Raises:
        ConfigError: there is none, or it is wrong.
    """
    return settings_of(path, name, source_table(load(path, GatewayConfig), path, name))
