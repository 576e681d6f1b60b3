"""Show every setting that is in force: its value, and which file says so. Secrets are not shown.

What is printed is TOML; beside each value stands the file that it comes from, or `default`.

Exit code: 0 shown, 2 the configuration is refused.

example: gatewayctl config show --json | jq '.settings[] | select(.files != [])'
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.cli.effective import Setting, add_file, bare, effective, toml
from gateway.config_files import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    add_file(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Read, and print."""
    try:
        files, settings = effective(options.file)
    except ConfigError as error:
        sys.stderr.write(f"gatewayctl config show: {error}\n")
        return 2
    if options.json:
        shown = [{"key": one.name, "value": one.shown(one.value), "files": one.files} for one in settings]
        text = json.dumps({"files": files.names, "settings": shown}, indent=2, default=str)
    else:
        text = "\n".join(_lines(options.file, files.names, settings))
    sys.stdout.write(text + "\n")
    return 0


def _lines(path: Path, names: Sequence[str], settings: Sequence[Setting]) -> Iterator[str]:
    yield from (f"# {name}" for name in names)
    tables = dict.fromkeys(one.table for one in settings)
    for table in sorted(
        tables, key=bool
    ):  # keys of no table come first, or they would belong to the last one
        yield ""
        if table:
            header = ".".join(bare(one) for one in table)
            yield f"[[{table[0]}]]" if table[0] == "rules" else f"[{header}]"
        for one in settings:
            if one.table == table:
                value = toml(one.shown(one.value))
                yield f"{f'{bare(one.key)} = {value}':<48}  # {short(path, one.files)}"


def short(path: Path, files: Sequence[str]) -> str:
    """Who says so, for the eye: as seen from the folder of the file."""
    folder = f"{path.parent}/"
    return " and ".join(name.removeprefix(folder) for name in files) if files else "default"
