"""A configuration as it was read once: its settings, its sources, and what is in the files that it names."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from devices.credentials import credential_path, read_file
from devices.source import Home
from gateway.config import SECRET_FILE, GatewayConfig, load
from gateway.sources import SourceSpec, open_sources

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
    specs = open_sources(config, path, home)
    tables = {f"sources.{name}": table for name, table in config.sources.items()}
    return Setup(config, specs, secrets_in({"kafka": msgspec.to_builtins(config.kafka), **tables}))


def secrets_in(tables: Mapping[str, Mapping[str, Any]]) -> Secrets:
    """See Secrets. Blocks."""
    return {
        name: {key: _told_apart(file) for key, file in _files_in(table)} for name, table in tables.items()
    }


def _files_in(table: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Key and value of all that name a file: NAME_file, NAME.location as librdkafka has it, and those of TLS."""
    for key, value in table.items():
        where = f"{within}.{key}" if within else key
        if isinstance(value, Mapping):
            yield from _files_in(value, where)
        elif isinstance(value, str) and (
            key.endswith((SECRET_FILE, ".location")) or within == "tls" or where == "oauth.ca"
        ):
            yield where, value


def _told_apart(name: str) -> int:
    """Another number, within this process, if something else is in the file. Nobody learns from it what that is."""
    try:
        return hash(read_file(credential_path(name)))
    except (OSError, ValueError):
        return 0
