"""The JSON Schemas that editors use: made from the types, and true of everything that is documented."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from gateway.cli.config_schema import schema
from gateway.cli.main import main

HERE = Path(__file__).parents[2]
SCHEMAS = {service: schema(service) for service in ("gateway", "detect")}
SOURCES = "sources"


def problems(service: str, table: dict[str, Any]) -> list[str]:
    return [
        f"{error.json_path}: {error.message}"
        for error in Draft7Validator(SCHEMAS[service]).iter_errors(table)
    ]


def snippets() -> list[tuple[str, str, dict[str, Any]]]:
    """Every snippet of TOML in the documentation; keys alone are those of a source."""
    found = []
    for path in [*sorted((HERE / "docs").glob("*.md")), HERE / "README.md"]:
        for block in re.findall(
            r"^```toml\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            service = "detect" if path.stem == "detection" or "[[rules]]" in block else "gateway"
            try:
                tables = [tomllib.loads(block)]
            except tomllib.TOMLDecodeError:  # one key in several ways
                tables = [tomllib.loads(line) for line in block.splitlines()]
            for table in tables:
                whole = table.keys() <= SCHEMAS[service]["properties"].keys()
                found.append(
                    (path.name, service, table if whole else {SOURCES: {"x": {"kind": "serial", **table}}})
                )
    return found


SNIPPETS = snippets()


@pytest.mark.parametrize("service", SCHEMAS)
def test_it_is_a_schema_and_lies_beside_its_file_as_it_is_made_now(service: str) -> None:
    Draft7Validator.check_schema(SCHEMAS[service])

    made = f"gatewayctl config schema {service} > config/{service}.schema.json"
    assert json.loads((HERE / "config" / f"{service}.schema.json").read_text()) == SCHEMAS[service], made
    assert (HERE / "config" / f"{service}.toml").read_text().startswith(f"#:schema ./{service}.schema.json\n")


@pytest.mark.parametrize("service", SCHEMAS)
def test_the_annotated_file_is_valid_as_it_is_and_with_every_line_of_it_in_force(service: str) -> None:
    text = (HERE / "config" / f"{service}.toml").read_text(encoding="utf-8")
    pattern = r"^# (?=\[sources|\[\[rules|[a-z0-9_]+ = )"
    lines = [
        line if line.startswith("# options") else re.sub(pattern, "", line) for line in text.splitlines()
    ]
    everything = tomllib.loads("\n".join(lines))

    assert problems(service, tomllib.loads(text)) == problems(service, everything) == []
    assert len(everything) > 4


@pytest.mark.parametrize(("name", "service", "table"), SNIPPETS, ids=[one[0] for one in SNIPPETS])
def test_what_is_documented_is_valid(name: str, service: str, table: dict[str, Any]) -> None:
    assert problems(service, table) == [], name


@pytest.mark.parametrize(
    ("service", "text", "says"),
    [
        ("gateway", "[kafka]\nbootstrap_server = 'k:1'", r"\$\.kafka: Additional .*'bootstrap_server' was unexpected"),
        ("gateway", "[kafak]", r"\$: Additional .*'kafak' was unexpected"),
        ("gateway", "[kafka]\npartitions = -1", r"kafka\.partitions: -1 is less than"),
        ("gateway", "[spool]\nwhen_full = 'panic'", r"spool\.when_full: 'panic' is not one of"),
        ("gateway", "[sources.x]\nkind = 'mqtt'\nkeepalife = 3", r"sources\.x: Additional .*'keepalife' was unexp"),
        ("gateway", "[sources.x]\nkeepalife = 3", r"sources\.x: .*not valid under any"),
        ("gateway", "[sources.x]\nkind = 'seriel'", r"sources\.x: .*not valid under any"),
        ("gateway", "[sources.x]\nkind = 'serial'\nkeepalive = 3", r"'keepalive' was unexpected"),
        ("gateway", "[sources.x]\nkind = 'serial'\ndecoder = 'jsn'", r"decoder: 'jsn' is not valid under any"),
        ("gateway", "[sources.x]\nkind = 'serial'\ndecoder = { kind = 'csv', heder = 't' }", "'heder' was unexp"),
        ("gateway", "[sources.x]\nkind = 'simulator'\nsensors = [{ name = 'a' }]", "'signal' is a required"),
        ("detect", "[[rules]]\nlimits = { hihg = 3 }", r"rules\[0\]\.limits: .*not valid under any"),
        ("detect", "grup = 'x'", "'grup' was unexpected"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_where_it_stands(service: str, text: str, says: str) -> None:
    assert re.search(says, "\n".join(problems(service, tomllib.loads(text))))


@pytest.mark.parametrize("text", ["", "[kafka]\npartitions = 3", "[sources.x]\nkeepalive = 30"])
def test_a_drop_in_may_hold_a_part(text: str) -> None:
    assert problems("gateway", tomllib.loads(text)) == []


def test_each_key_of_a_table_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema", "gateway"]) == 0
    printed = json.loads(capsys.readouterr().out)

    told = printed["definitions"]["GatewayKafka"]["properties"]
    assert told["bootstrap_servers"]["description"] == "host:port, several separated by commas."
    assert told["status_topic"]["description"] == "names of the topics."
    assert told["delivery"]["description"].endswith("may repeat readings after a crash.")
    without = [
        f"{name}.{key}"
        for name, definition in printed["definitions"].items()
        for key, described in definition.get("properties", {}).items()
        if "description" not in described and name.startswith(("Gateway", "source-", "Spool", "Ingest"))
    ]
    assert [one for one in without if not one.endswith(".kind")] == []
