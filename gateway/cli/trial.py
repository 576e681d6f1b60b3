"""From the options of `gatewayctl decode` to a source that reads the input as they say."""

import argparse
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from devices import registry
from devices.decoders import make_decoder
from devices.errors import SettingError
from devices.framing import make_framing
from devices.reading import NAME_LIMIT, is_name
from devices.source import RawSource
from gateway.capture import VERSION, Header
from gateway.cli.arguments import settings_of, source_table
from gateway.cli.said import log_to_stderr
from gateway.config import GatewayConfig, load
from gateway.config_files import refusal

NOWHERE: Final = "/dev/null"
"""The port of bytes that are read from no port."""


class Trial(NamedTuple):
    """How the input is read.

    Attributes:
        source: makes payloads of its pieces.
        quiet: seconds of silence that cut a frame short, if the recorded times have to tell; None: the capture does.
    """

    source: RawSource
    quiet: float | None


def find_trial(options: argparse.Namespace, header: Header | None) -> Trial:
    """What the options ask for, given a capture with this header; None: given raw bytes.

    Raises:
        SettingError, ConfigError: it cannot be.
    """
    if options.decoder is not None and options.config is not None:
        raise SettingError("", "give either --decoder, or --config and --source")
    if options.source is not None and options.config is None:
        raise SettingError("--source", "goes with --config: it names a source of that file")
    if header is None:
        name, table = _of_bytes(options)
    else:
        name, table = _of_capture(options, header)
    table = _changed(options, table)
    log_to_stderr()
    source = registry.open_source(name, table)
    if not isinstance(source, RawSource):
        raise SettingError("", f"there are no raw bytes of a source of kind {table['kind']}")
    quiet = None
    if header and table["kind"] == "serial" and table.get("framing") != header.settings.get("framing"):
        quiet = make_framing(table.get("framing", "line")).gap
    return Trial(source, quiet)


def _of_bytes(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Name and table of a source that reads the bytes of a file, by --decoder or by --config and --source."""
    if options.decoder is not None:
        return "decode", {"kind": "serial", "port": NOWHERE, "device": "device"}
    if options.config is None or options.source is None:
        raise SettingError("", "this is no capture: give either --decoder, or --config and --source")
    name: str = options.source
    table = source_table(load(options.config, GatewayConfig), options.config, name)
    settings = _settings(options.config, name, table)
    if table["kind"] == "serial":
        return name, table
    framed = {
        "kind": "serial",
        "port": NOWHERE,
        "decoder": settings.decoder,
        "device": settings.device or name,
    }
    return name, framed


def _of_capture(options: argparse.Namespace, header: Header) -> tuple[str, dict[str, Any]]:
    """Name and table of the source of a capture, by its header or by --config."""
    if header.capture != VERSION:
        raise SettingError(
            "", f"a capture of version {header.capture}: this gatewayctl reads version {VERSION}"
        )
    if not is_name(header.source):  # and perhaps something that a terminal would obey
        raise SettingError("", f"the header of this capture names no source: {header.source!r}")
    if options.config is None:
        return header.source, {**header.settings, "kind": header.kind}
    name: str = options.source or header.source
    table = source_table(load(options.config, GatewayConfig), options.config, name)
    if table.get("kind") != header.kind:
        problem = f"is of kind {table.get('kind')}, and this is a capture of kind {header.kind}"
        raise refusal(options.config, SettingError(f"sources.{name}.kind", problem))
    _settings(options.config, name, table)
    return name, table


def _changed(options: argparse.Namespace, table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with what the options say otherwise."""
    changed = dict(table)
    framed = table["kind"] == "serial"
    if options.decoder is not None:
        changed["decoder"] = _spec(options.decoder, "--decoder")
        make_decoder(changed["decoder"], "--decoder")
        if isinstance(topics := table.get("topics"), list):
            changed["topics"] = [_without_decoder(topic) for topic in topics]
    if options.framing is not None:
        changed["framing"] = _spec(options.framing, "--framing")
        make_framing(changed["framing"], "--framing")
    for option, given in (("device", options.device), ("sensor", options.sensor)):
        if given:
            changed[option] = given
            if not is_name(given):
                problem = f"{given!r} is no name; allowed: 1 to {NAME_LIMIT} printable characters"
                raise SettingError(f"--{option}", problem)
    for option in ("framing", "sensor"):
        if getattr(options, option) and not framed:
            raise SettingError(
                f"--{option}", f"has no meaning for kind {table['kind']}: each message is a payload"
            )
    return changed


def _without_decoder(topic: Any) -> Any:
    return {key: topic[key] for key in topic if key != "decoder"} if isinstance(topic, dict) else topic


def _spec(text: str, option: str) -> str | dict[str, Any]:
    """A name, or the inline table that the text of an option holds."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        table: dict[str, Any] = tomllib.loads(f"spec = {text}")["spec"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingError(option, f"is no TOML table: {error}") from None
    return table


def _settings(path: Path, name: str, table: Mapping[str, Any]) -> Any:
    """The settings of a source that has a decoder."""
    settings = settings_of(path, name, table)
    if not hasattr(settings, "decoder"):
        raise refusal(
            path, SettingError(f"sources.{name}.kind", "has no decoder: this kind makes readings of its own")
        )
    return settings
