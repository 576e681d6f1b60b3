"""What several commands take as arguments."""

import argparse
import re
from pathlib import Path
from typing import Any

import msgspec

from devices import registry
from devices.errors import SettingError
from devices.settings import convert
from gateway.config import ConfigError, GatewayConfig, SourceKeys, load


def seconds(text: str) -> float:
    """A length of time such as `30s`, `2m`, `1h`, in seconds.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a length of time; write it as 30s, 2m or 1h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def source_settings(path: Path, name: str) -> Any:
    """The settings, of its kind, of the source `name` in the configuration file `path`.

    Raises:
        ConfigError: there is none, or it is wrong.
    """
    sources = load(path, GatewayConfig).sources
    if name not in sources:
        raise ConfigError(f"{path}: sources.{name}: there is none; allowed: {', '.join(sources)}")
    common = {field.encode_name for field in msgspec.structs.fields(SourceKeys)}
    own = {key: value for key, value in sources[name].items() if key not in common}
    try:
        kind = registry.settings_type(sources[name].get("kind"), f"sources.{name}")
        return convert(own, kind, f"sources.{name}")
    except SettingError as error:
        raise ConfigError(f"{path}: {error}") from None
