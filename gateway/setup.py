"""A configuration as it was read once: its settings, its sources, and what is in the files that it names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from devices.credentials import credential_path, read_credential, read_file, why_not
from devices.errors import SettingError
from devices.source import Home
from gateway.config import GatewayConfig, load
from gateway.config_files import refusal
from gateway.named_files import files_in
from gateway.sources import SourceSpec, open_sources

Tables = Mapping[str, Mapping[str, Any]]
"""By dotted key, as TOML has them."""

Secrets = Mapping[str, Mapping[str, int]]
"""By table and then by key, what tells apart the contents of the files that it names for secrets and certificates."""


class Setup(NamedTuple):
    """What it takes to go by a configuration.

    Attributes:
        config: its settings.
        specs: its sources, which have touched nothing yet.
        secrets: see there.
    """

    config: GatewayConfig
    specs: list[SourceSpec]
    secrets: Secrets


def set_up(path: Path, home: Home) -> Setup:
    """Read the configuration at `path`, with its drop-ins, for the gateway `home`. Blocks, for files only.

    Raises:
        ConfigError: it is refused.
    """
    config = load(path, GatewayConfig)
    return Setup(config, open_sources(config, path, home), secrets_in(tables_of(config)))


def tables_of(config: GatewayConfig) -> Tables:
    """The tables that may name files."""
    sources = {f"sources.{name}": table for name, table in config.sources.items()}
    return {"kafka": msgspec.to_builtins(config.kafka), **sources}


def secrets_in(tables: Tables) -> Secrets:
    """See Secrets. Blocks."""
    return {
        name: {one.key: _told_apart(one.path) for one in files_in(table)} for name, table in tables.items()
    }


def refuse_unreadable(path: Path, tables: Tables) -> None:
    """Whether each secret can be read now, by who runs this. A start would not go on without; `path` is the file, for the message.

    Raises:
        ConfigError: one cannot be read, or is empty.
    """
    for name, table in tables.items():
        for one in files_in(table):
            try:
                if one.text:
                    read_credential(one.path)
                elif one.secret:
                    read_file(credential_path(one.path))
            except (OSError, ValueError) as error:
                where = str(credential_path(one.path))
                problem = SettingError(f"{name}.{one.key}", f"{where!r} cannot be read: {why_not(error)}")
                raise refusal(path, problem) from None


def _told_apart(name: str) -> int:
    """Another number, within this process, if something else is in the file. Nobody learns from it what that is."""
    try:
        return hash(read_file(credential_path(name)))
    except (OSError, ValueError):
        return 0
