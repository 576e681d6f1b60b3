import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config import ConfigError
from gateway.detect.config import (
    DetectConfig,
    Limits,
    Rate,
    Rules,
    Silence,
    Spike,
    SpikeAggregate,
    Stuck,
    load_detect,
)
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
        [[rules]]
        device = "boiler-*"
        sensor = "temperature"
        limits = { low = 10, high = 80.5, hysteresis = 2 }
        rate = { per_s = 0.5 }
        stuck = { after = 3600 }
        silence = false
        never_seen = false
        spike = { warm_up = 100, threshold = 10, tau = 60 }
        spike_aggregate = true
        """,
    )

    assert config.limits_for("boiler-7", "temperature") == Limits(10.0, 80.5, 2.0)
    assert config.rate_for("boiler-7", "temperature") == Rate(0.5)
    assert config.stuck_for("boiler-7", "temperature") == Stuck(3600.0)
    assert config.silence_for("boiler-7", "temperature") is None
    assert not config.never_seen_for("boiler-7", "temperature")
    assert config.spike_for("boiler-7", "temperature") == Spike(100, 10.0, 60.0)
    assert config.spike_aggregate_for("boiler-7", "temperature") == SpikeAggregate()
    assert (config.group, config.start, config.max_sensors) == ("detect-2", "latest", 5)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[rules]]\nlimits = {low = 90, high = 80}", r"rules\.0\.limits\.low: 90 .*at most high, 80"),
        ("[[rules]]\nlimits = {}", r"rules\.0\.limits\.high: is missing, and low too: set at least one"),
        ("[[rules]]\nlimits = true", r"rules\.0\.limits: true is not allowed: must say which"),
        ("[[rules]]\nlimits = {high = nan}", r"rules\.0\.limits\.high: nan .*finite"),
        ("[[rules]]\nlimits = {low = -inf}", r"rules\.0\.limits\.low: -inf .*finite"),
        ("[[rules]]\nlimits = {high = 1, hysteresis = -1}", r"rules\.0\.limits\.hysteresis: -1 .*0 or more"),
        (
            "[[rules]]\nlimits = {low = 1, high = 3, hysteresis = 5}",
            r"rules\.0\.limits\.hysteresis: 5 .*at most high - low, 2",
        ),
        ("[[rules]]\nlimits = {hihg = 3}", r"rules\.0\.limits\.hihg: unknown key; did you mean `high`"),
        ("[[rules]]\nsensor = ''", r"rules\.0\.sensor: must not be empty"),
        ("[[rules]]\nrate = {per_s = 0}", r"rules\.0\.rate\.per_s: 0 is not allowed"),
        ("[[rules]]\nstuck = {after = -1}", r"rules\.0\.stuck\.after: -1 is not allowed"),
        ("[[rules]]\nsilence = 5", r"rules\.0\.silence: 5 is not allowed"),
        ("[[rules]]\nspike = {threshold = 0}", r"rules\.0\.spike\.threshold: 0 is not allowed"),
        ("[[rules]]\nspike = {warm_up = 3}", r"rules\.0\.spike\.warm_up: 3 is not allowed"),
        ("[[limits]]\nsensor = 't'", r"limits: unknown key"),
        ("start = 'now'", r"start: 'now' is not allowed"),
        ("group = 'a b'", r"group: 'a b' is not allowed"),
        ("max_sensors = 0", r"max_sensors: 0 is not allowed"),
        ("[mqtt]\nbroker = 'a b'", r"mqtt\.broker: 'a b' is not allowed"),
        ("[mqtt]\nbrokr = 'b'", r"mqtt\.brokr: unknown key; did you mean `broker`"),
        ("[mqtt]\npassword = 'x'", r"mqtt\.username: is missing"),
        ("[mqtt]\ntls = {key = 'x'}", r"mqtt\.tls\.cert: is missing"),
        ("[mqtt]\ntopic = ''", r"mqtt\.topic: must not be empty"),
        ("[mqtt]\ntopic = 'a/#'", r"mqtt\.topic: 'a/#' has \+ or #"),
        ("[mqtt]\ndiscovery = '$SYS'", r"mqtt\.discovery: '\$SYS' begins with \$"),
        ("[kafka]\nanomalies_topic = 'readings'", r"kafka\.anomalies_topic: 'readings' .*another topic"),
    ],
)
def test_what_is_wrong_is_named_with_file_key_value_and_what_is_allowed(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=rf"detect\.toml: {complaint}"):
        load(tmp_path, text)


def test_the_first_table_that_matches_and_has_the_rule_counts() -> None:
    boiler = Rules("temp*", "boiler-*", limits=Limits(high=80.0))
    everywhere = Rules("temp*", limits=Limits(high=30.0), silence=Silence(5.0))
    config = DetectConfig(rules=(boiler, everywhere, Rules(silence=False)))

    assert config.limits_for("boiler-7", "temperature") == Limits(high=80.0)
    assert config.limits_for("fridge", "temperature") == Limits(high=30.0)
    assert config.limits_for("fridge", "humidity") is None
    assert config.limits_for("Boiler-7", "Temperature") is None, "case matters"
    assert config.silence_for("boiler-7", "temperature") == Silence(5.0), "the first table says nothing of it"
    assert config.silence_for("fridge", "humidity") is None


@pytest.mark.parametrize(
    ("limit", "width"),
    [
        (Limits(low=10.0, high=80.0), 0.7),
        (Limits(high=80.0), 0.8),
        (Limits(low=-20.0), 0.2),
        (Limits(low=10.0, high=80.0, hysteresis=3.0), 3.0),
        (Limits(high=80.0, hysteresis=0.0), 0.0),
        (Limits(low=5.0, high=5.0), 0.0),
    ],
)
def test_hysteresis_is_a_hundredth_of_the_range_or_of_the_limit(limit: Limits, width: float) -> None:
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

    for check in ([], ["--check"]):
        assert main(["--config", str(path), *check]) == 2
        assert "no.such.property" in capsys.readouterr().err


@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
@pytest.mark.parametrize(
    "option", ["'acks' = 0", "'linger.ms' = 'abc'", "'session.timeout.ms' = 600000", "'stats_cb' = 'x'"]
)
def test_an_option_that_the_kafka_client_refuses_is_found_by_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], delivery: str, option: str
) -> None:
    path = tmp_path / "detect.toml"
    path.write_text(f"[kafka]\ndelivery = '{delivery}'\n[kafka.options]\n{option}")

    assert main(["--config", str(path), "--check"]) == 2
    assert f"{path}: kafka.options: refused by the Kafka client: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ("'group.id' = 'x'", "'group.id' is not allowed: set group in place of it"),
        ("'enable.auto.commit' = true", "set nothing in place of it: the position is written with"),
        (
            "'isolation.level' = 'read_uncommitted'",
            "set nothing in place of it: only what is committed is read",
        ),
        ("'transactional.id' = 'x'", "set group in place of it"),
        ("'auto.offset.reset' = 'latest'", "set start in place of it"),
        ("'bootstrap.servers' = 'x:1'", "set kafka.bootstrap_servers in place of it"),
    ],
)
def test_a_property_that_the_program_sets_itself_is_refused_with_what_to_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, instead: str
) -> None:
    path = tmp_path / "detect.toml"
    path.write_text(f"[kafka.options]\n{option}")

    for check in ([], ["--check"]):
        assert main(["--config", str(path), *check]) == 2
        err = capsys.readouterr().err
        assert f"{path}: kafka.options: '" in err
        assert instead in err


def test_a_password_file_that_is_not_there_is_found_by_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.chdir(tmp_path)
    path, secret = tmp_path / "detect.toml", tmp_path / "secret"

    def check(name: str) -> tuple[int, str]:
        path.write_text(f"[mqtt]\nbroker = 'localhost'\nusername = 'u'\npassword_file = '{name}'")
        code = main(["--config", str(path), "--check"])
        out, err = capsys.readouterr()
        return code, err + out.replace(f"{path}: accepted: 0 table(s) of rules\n", "")

    refusal = (
        f"gateway-detect: {path}: mqtt.password_file: '{secret}' is not there: No such file or directory\n"
    )
    assert check(str(secret)) == (2, refusal)
    code, advice = check("secret")
    assert code == 0, "systemd may hand it over"
    assert advice.startswith(
        "mqtt.password_file: 'secret' is not in this folder: it is found only if systemd"
    )
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert check("secret") == (2, refusal)
    secret.write_text("s")
    secret.chmod(0o600)
    assert check("secret") == check(str(secret)) == (0, "")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert check("secret") == (0, "")


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none.toml"), "--check"]) == 2
    assert "none.toml: cannot be read: No such file" in capsys.readouterr().err


def test_a_good_configuration_is_called_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(SHIPPED), "--check"]) == 0
    assert capsys.readouterr().out == f"{SHIPPED}: accepted: 0 table(s) of rules\n"


def test_the_shipped_file_shows_every_key_with_its_default() -> None:
    """Keys stand as `# key = value`; those of the example of rules are the only ones without a default."""
    text = SHIPPED.read_text(encoding="utf-8")
    shown = tomllib.loads(re.sub(r"^# (\[|[\w.]+ = )", r"\1", text, flags=re.MULTILINE))
    rules = shown.pop("rules")
    defaults: dict[str, Any] = msgspec.to_builtins(DetectConfig())
    del defaults["rules"]

    assert shown == defaults
    assert set(rules[0]) == {field.name for field in msgspec.structs.fields(Rules)}
    for name, kind in (("limits", Limits), ("rate", Rate), ("stuck", Stuck), ("silence", Silence)):
        assert set(rules[0][name]) == {field.name for field in msgspec.structs.fields(kind)}
    assert rules[0]["spike"] == msgspec.to_builtins(Spike())
    assert rules[0]["spike_aggregate"] == msgspec.to_builtins(SpikeAggregate())
    assert msgspec.convert(shown | {"rules": rules}, DetectConfig).rules
