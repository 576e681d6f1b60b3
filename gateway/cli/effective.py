"""What `gatewayctl config show` and `diff` share: every setting that is in force, its default, and which file says it."""

import argparse
import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from devices.credentials import without_passwords
from gateway.config_files import Files, Said, Table, Tree, files_of, plain, read, usual_path

NOT_SHOWN: Final = "(not shown)"
"""In place of a secret."""

NOTHING: Final = object()
"""The default of a setting that has none."""


class Setting(NamedTuple):
    """One setting that is in force.

    Attributes:
        table: names of the tables around it; of an array of tables, the place in it.
        key: its own name.
        value: as TOML has it.
        default: likewise, or NOTHING.
        files: those that say so; none: it is the default.
    """

    table: tuple[str, ...]
    key: str
    value: Any
    default: Any
    files: list[str]

    @property
    def name(self) -> str:
        """The dotted key."""
        return ".".join(bare(one) for one in (*self.table, self.key))

    def shown(self, value: Any) -> Any:
        """A value of this setting as people may see it."""
        return _masked(self.key, value)


def add_file(parser: argparse.ArgumentParser) -> None:
    """The argument FILE."""
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        default=usual_path("gateway"),
        help="gateway.toml, or detect.toml if its name begins so "
        "(default: $GATEWAY_CONFIG, else /etc/gateway/gateway.toml)",
    )


def is_detect(path: Path) -> bool:
    """Whether a file is that of gateway-detect, by its name."""
    return path.name.startswith("detect")


def effective(path: Path) -> tuple[Files, list[Setting]]:
    """The files of a configuration, and all settings that are in force.

    Raises:
        ConfigError: it is refused.
    """
    if is_detect(path):
        from gateway.detect.config import DetectConfig, load_detect  # noqa: PLC0415 - what is needed, no more

        load_detect(path)
        files = read(path)
        return files, list(_of_struct(DetectConfig, files.tree, ()))
    from gateway.cli.arguments import settings_of, source_table  # noqa: PLC0415
    from gateway.config import GatewayConfig, load  # noqa: PLC0415
    from gateway.kafka_keys import check_kafka  # noqa: PLC0415

    config = load(path, GatewayConfig)
    check_kafka(config.kafka, path)
    for name in config.sources:
        settings_of(path, name, source_table(config, path, name))
    files = read(path)
    return files, list(_of_struct(GatewayConfig, files.tree, ()))


def _of_struct(kind: Any, tree: Table, table: tuple[str, ...]) -> Iterator[Setting]:
    import msgspec  # noqa: PLC0415 - `gatewayctl config --help` needs none of it

    for field in msgspec.structs.fields(kind):
        name, node = field.encode_name, tree.get(field.encode_name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _of_struct(
                field.type, node if isinstance(node, Table) else Table({}, []), (*table, name)
            )
        elif name == "sources" and isinstance(node, Table):
            for source, keys in node.items():
                yield from _of_source(keys, (name, source))
        elif isinstance(node, list):
            yield from _of_array(node, (*table, name))
        elif isinstance(node, Table) and node and typing.get_origin(field.type) is dict:
            for key, value in node.items():
                yield Setting((*table, name), key, plain(value), NOTHING, files_of(value))
        else:
            default = _default(field)
            value, files = (default, []) if node is None else (plain(node), files_of(node))
            if value is not NOTHING:
                yield Setting(table, name, value, default, files)


def _of_array(rules: list[Said], table: tuple[str, ...]) -> Iterator[Setting]:
    for place, rule in enumerate(rules):
        for key, value in rule.value.items():
            yield Setting((*table, str(place)), key, value, NOTHING, [rule.file])


def _of_source(keys: Tree, table: tuple[str, ...]) -> Iterator[Setting]:
    from devices.registry import settings_type  # noqa: PLC0415
    from gateway.config import SourceKeys  # noqa: PLC0415

    if isinstance(keys, Table):
        yield from _of_struct(SourceKeys, keys, table)
        yield from _of_struct(settings_type(plain(keys["kind"]), ""), keys, table)


def _default(field: Any) -> Any:
    import msgspec  # noqa: PLC0415

    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    if field.default is msgspec.NODEFAULT or field.default is None:
        return NOTHING
    return list(field.default) if isinstance(field.default, tuple) else msgspec.to_builtins(field.default)


def _masked(key: str, value: Any) -> Any:
    from devices.settings import is_secret  # noqa: PLC0415

    if is_secret(key) and value != "":
        return NOT_SHOWN
    if isinstance(value, dict):
        return {one: _masked(one, below) for one, below in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(key, one) for one in value]
    return without_passwords(value) if isinstance(value, str) else value


def bare(key: str) -> str:
    """A key as TOML has it."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml(key)


def toml(value: Any) -> str:
    """A value as TOML has it, printable, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "".join(_escaped(one) for one in json.dumps(value, ensure_ascii=False))
    if isinstance(value, dict):
        inside = ", ".join(f"{bare(key)} = {toml(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml(one) for one in value)}]"
    return str(value)


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"  # noqa: PLR2004 - TOML's two forms
