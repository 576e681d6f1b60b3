"""From the tables `[sources.NAME]` to sources that are ready to run."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from devices import registry
from devices.credentials import without_passwords
from devices.errors import SettingError
from devices.settings import convert
from devices.source import Home, Source
from gateway.config import GatewayConfig, SourceKeys
from gateway.config_files import refusal
from gateway.kafka_keys import check_kafka


class SourceSpec(NamedTuple):
    """A source and what the gateway itself does with it.

    Attributes:
        source: the source.
        stand_in: yields simulated readings under its name while it is away; None: nothing does.
        stand_in_after: seconds it must be away before.
        devices: shell patterns of the device names it may bring; none: all.
    """

    source: Source
    stand_in: Source | None = None
    stand_in_after: float = 5.0
    devices: Sequence[str] = ()


def place_of(table: Mapping[str, Any]) -> str:
    """Where the source with this table is, for the eye: a port, a broker, a file; empty: nowhere. No passwords."""
    if brokers := table.get("broker"):
        from devices.mqtt.settings import PORT, TLS_PORT  # noqa: PLC0415 - a gateway without MQTT never loads paho

        port = table.get("port") or (TLS_PORT if table.get("tls") else PORT)
        hosts = [brokers] if isinstance(brokers, str) else brokers
        return ", ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts)
    return without_passwords(str(table.get("port") or table.get("file") or ""))


def admits(patterns: Sequence[str], device: str) -> bool:
    """Whether one of these shell patterns lets the device in; none: every device."""
    return not patterns or any(fnmatchcase(device, pattern) for pattern in patterns)


def open_sources(config: GatewayConfig, path: Path, home: Home) -> list[SourceSpec]:
    """Make every configured source; touches no port and no network. `path` is the file, for messages; `home` this gateway.

    Raises:
        ConfigError: a setting of a source is wrong, or there is no source.
    """
    check_kafka(config.kafka, path)
    if not config.sources:
        raise refusal(path, SettingError("sources", "there is none; add a table such as [sources.line-1]"))
    try:
        return [_open(name, table, home) for name, table in config.sources.items()]
    except SettingError as error:
        raise refusal(path, error) from None


def _open(name: str, table: dict[str, Any], home: Home) -> SourceSpec:
    common = [field.encode_name for field in msgspec.structs.fields(SourceKeys) if field.name != "kind"]
    if "kind" not in table:
        raise SettingError(f"sources.{name}.kind", f"is required; allowed: {', '.join(registry.KINDS)}")
    keys = convert(
        {key: value for key, value in table.items() if key in (*common, "kind")},
        SourceKeys,
        f"sources.{name}",
    )
    own = {key: value for key, value in table.items() if key not in common}
    source = registry.open_source(name, own, home, also=common)
    if keys.simulator and keys.fallback != "simulator":
        simulator, fallback = f"sources.{name}.simulator", f"sources.{name}.fallback"
        raise SettingError(simulator, 'has no effect without fallback = "simulator"', [simulator, fallback])
    stand_in = None
    if keys.fallback == "simulator":
        table_of_stand_in = {**keys.simulator, "kind": "simulator"}
        stand_in = registry.open_source(name, table_of_stand_in, home, key=f"sources.{name}.simulator")
    return SourceSpec(source, stand_in, keys.fallback_after, keys.devices)
