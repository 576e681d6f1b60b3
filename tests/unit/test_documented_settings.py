"""The annotated gateway.toml and the code say the same."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devices import registry
from devices.source import Home
from gateway.config import DetectKafka, GatewayConfig, Log, Metrics, SourceKeys, load
from gateway.detect.config import DetectConfig, Mqtt
from gateway.sources import open_sources

CONFIG = Path(__file__).parents[2] / "config"


def documented(text: str) -> dict[str, dict[str, Any]]:
    """By table, each key that stands in the file, commented out or not, with the value shown."""
    found: dict[str, dict[str, Any]] = {}
    table = ""
    for line in text.splitlines():
        bare = re.sub(r"^# ?(?=\[|[a-z0-9_]+ = )", "", line)
        if header := re.match(r"\[\[?([a-z_.0-9-]+)\]\]?$", bare):
            table = header[1]
        elif match := re.match(r"([a-z0-9_]+) = (.+)$", bare):
            found.setdefault(table, {})[match[1]] = tomllib.loads(f"x = {match[2]}")["x"]
    return found


def defaults(kind: Any) -> dict[str, Any]:
    """By key, the default of each field; NODEFAULT where there is none."""
    fields = msgspec.structs.fields(kind)
    return {
        f.encode_name: f.default_factory() if f.default_factory is not msgspec.NODEFAULT else f.default
        for f in fields
    }


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


GATEWAY = documented((CONFIG / "gateway.toml").read_text())
TABLES = {
    **{f.encode_name: f.type for f in msgspec.structs.fields(GatewayConfig) if f.encode_name != "sources"},
    "sources.simulator": registry.settings_type("simulator", ""),
    "sources.line-1": registry.settings_type("serial", ""),
    "sources.plant": registry.settings_type("mqtt", ""),
    "sources.recorded": registry.settings_type("replay", ""),
}
EXAMPLES = {
    ("sources.line-1", "port"),
    ("sources.plant", "broker"),
    ("sources.plant", "topics"),
    ("sources.recorded", "file"),
}


@pytest.mark.parametrize("table", TABLES)
def test_every_key_of_gateway_toml_is_shown_with_its_default(table: str) -> None:
    shown = {key: value for key, value in GATEWAY[table].items() if key != "kind"}
    expected = defaults(TABLES[table])

    assert shown.keys() == expected.keys()
    for key, value in shown.items():
        if (table, key) not in EXAMPLES:
            assert value == plain(expected[key]), f"{table}.{key}"


DETECT = documented((CONFIG / "detect.toml").read_text())


@pytest.mark.parametrize(
    ("table", "kind"),
    [("", DetectConfig), ("kafka", DetectKafka), ("mqtt", Mqtt), ("metrics", Metrics), ("log", Log)],
)
def test_every_key_of_detect_toml_is_shown_with_its_default(table: str, kind: Any) -> None:
    tables = {"kafka", "mqtt", "metrics", "log", "rules"}
    expected = {key: value for key, value in defaults(kind).items() if table or key not in tables}

    assert {**DETECT[table], "options": {}} == {**expected, "options": {}}


def test_every_key_that_all_sources_have_is_shown_with_its_default() -> None:
    text = (CONFIG / "gateway.toml").read_text()
    shown = dict(re.findall(r"^#   ([a-z0-9_]+) = (\S+)", text, re.MULTILINE))

    expected = defaults(SourceKeys)
    assert shown.keys() == expected.keys()
    for key, value in shown.items():
        if key != "kind":
            assert tomllib.loads(f"x = {value}")["x"] == expected[key]


def test_gateway_toml_is_accepted_as_it_is_and_with_every_line_of_it_in_force(tmp_path: Path) -> None:
    path = CONFIG / "gateway.toml"
    assert [spec.source.name for spec in open_sources(load(path, GatewayConfig), path, Home("pi-7"))] == [
        "simulator"
    ]

    everything = tmp_path / "gateway.toml"
    lines = [
        re.sub(r"^# (?=\[sources|[a-z0-9_]+ = )", "", line) if not line.startswith("# options") else line
        for line in path.read_text().splitlines()
    ]
    everything.write_text("\n".join(lines))
    specs = open_sources(load(everything, GatewayConfig), everything, Home("pi-7"))
    assert [spec.source.name for spec in specs] == ["simulator", "line-1", "plant", "recorded"]
