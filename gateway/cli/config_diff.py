"""Show what a configuration says otherwise than the defaults, or than another one. Secrets are compared, and not shown.

With OTHER, lines with `-` hold for FILE and lines with `+` for OTHER, each with its drop-ins.

Exit code: 0 nothing differs, 1 something does, 2 a configuration is refused; as of diff(1).

example: gatewayctl config diff /etc/gateway/gateway.toml new.toml
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.cli.config_show import short
from gateway.cli.effective import NOTHING, Setting, add_file, effective, is_detect, toml
from gateway.config_files import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    add_file(parser)
    parser.add_argument(
        "other", nargs="?", type=Path, metavar="OTHER", help="compare with this file in place of the defaults"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Read, compare, and print."""
    first, second = options.file, options.other
    if second is not None and is_detect(first) != is_detect(second):
        problem = "one is of gatewayd, the other of gateway-detect, by their names"
        sys.stderr.write(f"gatewayctl config diff: {first} and {second}: {problem}\n")
        return 2
    try:
        settings = effective(first)[1]
        others = None if second is None else effective(second)[1]
    except ConfigError as error:
        sys.stderr.write(f"gatewayctl config diff: {error}\n")
        return 2
    if others is None:
        found = [one for one in settings if one.files and one.value != one.default]
        lines, report = _from_defaults(first, found)
    else:
        lines, report = _from_other(first, second, settings, others)
    text = [json.dumps({"differences": report}, indent=2, default=str)] if options.json else lines
    sys.stdout.write("".join(f"{line}\n" for line in text))
    return int(bool(report))


def _from_defaults(path: Path, found: Sequence[Setting]) -> tuple[list[str], list[dict[str, Any]]]:
    lines, report = [], []
    for one in found:
        usual = "no default" if one.default is NOTHING else f"default {toml(one.default)}"
        lines.append(f"{one.name} = {toml(one.shown(one.value))}  # {usual}; {short(path, one.files)}")
        default = {} if one.default is NOTHING else {"default": one.default}
        report.append({"key": one.name, "value": one.shown(one.value), **default, "files": one.files})
    return lines, report


def _from_other(
    first: Path, second: Path, settings: Sequence[Setting], others: Sequence[Setting]
) -> tuple[list[str], list[dict[str, Any]]]:
    old, new = {one.name: one for one in settings}, {one.name: one for one in others}
    lines, report = [f"--- {first}", f"+++ {second}"], []
    for key in dict.fromkeys([*old, *new]):
        sides = (old.get(key), new.get(key))
        values = [NOTHING if one is None else one.value for one in sides]
        if values[0] != values[1]:
            lines += _sides(first, second, sides)
            shown = {
                name: one.shown(one.value) for name, one in zip(("value", "other"), sides, strict=True) if one
            }
            report.append({"key": key, **shown})
    return (lines if report else []), report


def _sides(first: Path, second: Path, sides: tuple[Setting | None, Setting | None]) -> Iterator[str]:
    for sign, path, one in zip("-+", (first, second), sides, strict=True):
        if one is not None:
            yield f"{sign}{one.name} = {toml(one.shown(one.value))}  # {short(path, one.files)}"
