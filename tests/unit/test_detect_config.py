import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config import ConfigError
from gateway.detect.config import DetectConfig, Limit, load_detect
from gateway.detect.service import main

SHIPPED = Path(__file__).parents[2] / "config" / "detect.toml"


def load(tmp_path: Path, text: str) -> DetectConfig:
    path = tmp_path / "detect.toml"
    path.write_text(text, encoding="utf-8")
    return load_detect(path)


def test_an_empty_file_is_a_configuration(tmp_path: Path) -> None:
    assert load(tmp_path, "") == DetectConfig()


def test_everything_can_be_set(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        group = "detect-2"
        start = "latest"
        max_sensors = 5
        [kafka]
        bootstrap_servers = "kafka:9092"
        [[limits]]
        device = "boiler-*"
        sensor = "temperature"
        low = 10
        high = 80.5
        hysteresis = 2
        [spike]
        enabled = false
        warm_up = 100
        threshold = 10
        tau = 60
        """,
    )

    assert config.limits == (Limit("temperature", "boiler-*", 10.0, 80.5, 2.0),)
    assert not config.spike.enabled
    assert (config.group, config.start, config.max_sensors) == ("detect-2", "latest", 5)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[limits]]\nsensor = 't'\nlow = 90\nhigh = 80", r"limits\.0\.low: 90 .*at most high, 80"),
        ("[[limits]]\nsensor = 't'", r"limits\.0\.high: is missing, and low too: set at least one"),
        ("[[limits]]\nsensor = 't'\nhigh = nan", r"limits\.0\.high: nan .*finite"),
        ("[[limits]]\nsensor = 't'\nlow = -inf", r"limits\.0\.low: -inf .*finite"),
        (
            "[[limits]]\nsensor = 't'\nhigh = 1\nhysteresis = -1",
            r"limits\.0\.hysteresis: -1 .*0 or more",
        ),
        (
            "[[limits]]\nsensor = 't'\nlow = 1\nhigh = 3\nhysteresis = 5",
            r"limits\.0\.hysteresis: 5 .*at most high - low, 2",
        ),
        ("[[limits]]\nhigh = 3", r"limits\.0\.sensor: is required"),
        ("[[limits]]\nsensor = 't'\nhihg = 3", r"limits\.0\.hihg: unknown key; did you mean `high`"),
        ("[spike]\nthreshold = 0", r"spike\.threshold: 0 is not allowed"),
        ("[spike]\nwarm_up = 3", r"spike\.warm_up: 3 is not allowed"),
        ("start = 'now'", r"start: 'now' is not allowed"),
        ("group = 'a b'", r"group: 'a b' is not allowed"),
        ("max_sensors = 0", r"max_sensors: 0 is not allowed"),
        ("[kafka]\nanomalies_topic = 'readings'", r"kafka\.anomalies_topic: 'readings' .*another topic"),
    ],
)
def test_what_is_wrong_is_named_with_file_key_value_and_what_is_allowed(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=rf"detect\.toml: {complaint}"):
        load(tmp_path, text)


def test_the_first_table_that_matches_counts() -> None:
    boiler, all_of_them = Limit("temp*", "boiler-*", high=80.0), Limit("temp*", high=30.0)
    config = DetectConfig(limits=(boiler, all_of_them))

    assert config.limit_for("boiler-7", "temperature") is boiler
    assert config.limit_for("fridge", "temperature") is all_of_them
    assert config.limit_for("fridge", "humidity") is None
    assert config.limit_for("Boiler-7", "Temperature") is None, "case matters"


@pytest.mark.parametrize(
    ("limit", "width"),
    [
        (Limit("t", low=10.0, high=80.0), 0.7),
        (Limit("t", high=80.0), 0.8),
        (Limit("t", low=-20.0), 0.2),
        (Limit("t", low=10.0, high=80.0, hysteresis=3.0), 3.0),
        (Limit("t", high=80.0, hysteresis=0.0), 0.0),
        (Limit("t", low=5.0, high=5.0), 0.0),
    ],
)
def test_hysteresis_is_a_hundredth_of_the_range_or_of_the_limit(limit: Limit, width: float) -> None:
    assert limit.width() == pytest.approx(width)


def test_a_refused_configuration_ends_the_command_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "detect.toml"
    path.write_text("grop = 'x'")

    assert main(["--config", str(path)]) == 2
    assert "grop: unknown key; did you mean `group`" in capsys.readouterr().err


def test_a_property_the_kafka_client_does_not_know_ends_the_command_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "detect.toml"
    path.write_text("[kafka.options]\n'no.such.property' = 1")

    assert main(["--config", str(path)]) == 2
    assert "no.such.property" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none.toml"), "--check"]) == 2
    assert "none.toml: cannot be read: No such file" in capsys.readouterr().err


def test_a_good_configuration_is_called_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(SHIPPED), "--check"]) == 0
    assert capsys.readouterr().out == f"{SHIPPED}: good\n"


def test_the_shipped_file_shows_every_key_with_its_default() -> None:
    """Keys stand as `# key = value`; those of the example of a limit are the only ones without a default."""
    text = SHIPPED.read_text(encoding="utf-8")
    shown = tomllib.loads(re.sub(r"^# (\[|[\w.]+ = )", r"\1", text, flags=re.MULTILINE))
    limits = shown.pop("limits")
    defaults: dict[str, Any] = msgspec.to_builtins(DetectConfig())
    del defaults["limits"]

    assert shown == defaults
    assert set(limits[0]) == {field.name for field in msgspec.structs.fields(Limit)}
    assert msgspec.convert(shown | {"limits": limits}, DetectConfig).limits
