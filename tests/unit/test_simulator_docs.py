"""What docs/simulator.md shows is accepted, and makes what stands below it."""

import datetime as dt
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from devices import registry
from devices.simulator.faults import AnyKind, Truth
from devices.simulator.plant import NANO, Plant
from devices.simulator.sensors import MODELS, Model
from devices.simulator.settings import Settings
from devices.simulator.signals import Part
from devices.source import Home
from gateway.cli.simulate.report import Report
from gateway.config import GatewayConfig, load
from gateway.sources import open_sources

TEXT = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```toml\n(.*?)```\n(?:```readings\n(.*?)```)?", TEXT, re.DOTALL)


@pytest.mark.parametrize(("setting", "expected"), SNIPPETS)
def test_a_snippet_is_accepted_and_makes_what_stands_below_it(
    setting: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(setting, encoding="utf-8")
    assert open_sources(load(path, GatewayConfig), path, Home("pi-7"))

    made = []
    for line in expected.splitlines():
        stamp, device, sensor, *_ = line.split(" ")
        table: dict[str, Any] = next(iter(tomllib.loads(setting)["sources"].values()))
        settings = msgspec.convert({key: table[key] for key in table if key != "kind"}, Settings)
        time = int(dt.datetime.fromisoformat(stamp).timestamp()) * NANO
        shown = {
            (r.device, r.sensor): r for r in Plant("twin", settings, time, print).readings_at(time, time)
        }
        reading = shown[device, sensor]
        made.append(f"{stamp} {device} {sensor} = {reading.value} {reading.unit}")
    assert made == expected.splitlines()


def test_what_it_calls_the_default_is_the_default() -> None:
    default = tomllib.loads(SNIPPETS[0][0])["sources"]["default"]["sensors"]

    assert msgspec.convert(default, tuple[Model, ...]) == MODELS


def test_every_part_and_every_key_of_it_is_described_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (`.*?) \| ", TEXT, re.MULTILINE))

    for part in get_args(Part):
        keys = []
        for field in msgspec.structs.fields(part):
            default = field.default
            keys.append(field.name if default is msgspec.NODEFAULT else f"{field.name} = {shown(default)}")
        assert sorted(re.findall(r"`(.*?)`", rows[part.__struct_config__.tag])) == sorted(keys)


def shown(default: float) -> str:
    return "1e6" if default == 1e6 else f"{default:g}"


def test_every_kind_of_fault_every_field_of_a_truth_and_of_the_report_is_described() -> None:
    words = set(re.findall(r"^\| (.*?) \|", TEXT, re.MULTILINE))
    named = {word for row in words for word in re.findall(r"`(\w+)`", row)}

    fields = [field.name for kind in (Truth, Report) for field in msgspec.structs.fields(kind)]
    assert set(get_args(AnyKind)) | set(fields) <= named


def test_the_truths_it_shows_are_truths() -> None:
    lines = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)[0].splitlines()

    for line in lines:
        truth = msgspec.json.decode(line, type=Truth)
        assert msgspec.json.encode(truth).decode() == line


def test_every_kind_of_source_of_the_simulator_has_a_snippet() -> None:
    kinds = {table["kind"] for text, _ in SNIPPETS for table in tomllib.loads(text)["sources"].values()}

    assert {"simulator", "replay"} <= kinds <= set(registry.KINDS)
