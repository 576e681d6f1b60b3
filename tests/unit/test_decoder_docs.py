"""Every snippet of docs/decoders.md does what stands below it."""

import datetime as dt
import importlib
import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from decoding import RECEIVED

from devices.decoders import DECODERS, binary, make_decoder
from devices.errors import DecodeError
from devices.reading import Reading
from devices.source import Origin

TEXT = (Path(__file__).parents[2] / "docs" / "decoders.md").read_text(encoding="utf-8")
SNIPPET = re.compile(r"```toml\n(.*?)```\n```(text|hex)\n(.*?)```\n```readings\n(.*?)```", re.DOTALL)
SNIPPETS = SNIPPET.findall(TEXT)


def shown(reading: Reading) -> str:
    text = f"{reading.sensor} = {json.dumps(reading.value)}{' ' * bool(reading.unit)}{reading.unit}"
    if reading.device != "dev":
        text += f" of {reading.device}"
    if reading.time != RECEIVED:
        point = dt.datetime.fromtimestamp(reading.time / 10**9, dt.UTC)
        text += f" at {point.isoformat().replace('+00:00', 'Z')}"
    return text


@pytest.mark.parametrize(("setting", "form", "payloads", "expected"), SNIPPETS)
def test_a_snippet_makes_what_stands_below_it(setting: str, form: str, payloads: str, expected: str) -> None:
    decode = make_decoder(tomllib.loads(setting)["decoder"])
    origin = Origin("src", "here", "dev", "", decode)

    results = []
    for line in payloads.splitlines():
        payload = bytes.fromhex(line) if form == "hex" else line.encode()
        try:
            results.append([shown(one) for one in decode(payload, origin, RECEIVED)] or ["nothing"])
        except DecodeError as error:
            results.append([f"dead letter: {error}"])

    lines = [line for result in results for line in result]
    told = expected.splitlines()
    assert [line[: len(one)] for line, one in zip(lines, told, strict=True)] == told
    assert all(line == one or one.startswith("dead letter") for line, one in zip(lines, told, strict=True))


def test_every_setting_of_every_decoder_has_a_snippet() -> None:
    used: dict[str, set[str]] = {}
    for setting, *_ in SNIPPETS:
        table = tomllib.loads(setting)["decoder"]
        used.setdefault(table["kind"], set()).update(table)
        for field in table.get("fields", []):
            used.setdefault("field", set()).update(field)

    everywhere = set().union(*used.values())
    for module in DECODERS.values():
        assert set(importlib.import_module(module).Settings.__struct_fields__) <= everywhere
    assert set(binary.Settings.__struct_fields__) <= used["binary"]
    assert set(binary.Field.__struct_fields__) == used["field"]
    assert TEXT.count("```toml") == len(SNIPPETS)


def test_the_tables_show_the_defaults() -> None:
    for kind, module in DECODERS.items():
        for field in msgspec.structs.fields(importlib.import_module(module).Settings):
            row = re.search(
                rf"^\| [a-z, ]*\b{kind}\b[a-z, ]* +\| `{field.name}` +\| (\S+) +\|", TEXT, re.MULTILINE
            )
            assert row, f"{kind}.{field.name}"
            shown_default(row[1], field.default)
    for field in msgspec.structs.fields(binary.Field):
        row = re.search(rf"^\| `{field.name}` +\| (\S+) +\|", TEXT, re.MULTILINE)
        assert row, field.name
        shown_default(row[1], field.default)


def shown_default(shown: str, default: object) -> None:
    if default is msgspec.NODEFAULT:
        assert shown in {"required", "`{}`"}  # a dict has a factory in place of a default
        return
    value = tomllib.loads(f"x = {shown.strip('`')}")["x"]
    assert value == (list(default) if isinstance(default, tuple) else default)
