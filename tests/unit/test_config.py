import os
from pathlib import Path

import pytest

from devices.source import Home
from gateway.config import ConfigError, GatewayConfig, load
from gateway.sources import open_sources

SOURCE = '[sources.sim]\nkind = "simulator"\n'


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        open_sources(load(path, GatewayConfig), path, Home("pi-7"))
    message = str(error.value)
    assert message.startswith(str(path)), "every message names the file first"
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            "[kafka]\nbootstrap_server = 'k:9092'\n" + SOURCE,
            ["kafka.bootstrap_server: unknown key", "did you mean `bootstrap_servers`?"],
            id="a misspelt key",
        ),
        pytest.param(
            "[ingest]\nbatch_readings = 0\n" + SOURCE,
            ["ingest.batch_readings: 0 is not allowed", ">= 1"],
            id="a number out of range",
        ),
        pytest.param(
            "[ingest]\nbatch_age = 'soon'\n" + SOURCE,
            ["ingest.batch_age: 'soon' is not allowed", "float"],
            id="a text where a number belongs",
        ),
        pytest.param(
            "[spool]\nwhen_full = 'panic'\n" + SOURCE,
            ["spool.when_full: 'panic' is not allowed", "allowed: 'block', 'drop-newest', 'drop-oldest'"],
            id="not one of the choices",
        ),
        pytest.param("[gatway]\n" + SOURCE, ["gatway: unknown key", "`gateway`"], id="a misspelt table"),
        pytest.param("", ["sources", "is required"], id="nothing at all"),
        pytest.param("[sources]\n", ["sources: there is none", "[sources.line-1]"], id="no source"),
        pytest.param(
            "[sources.line]\nkind = 'seriel'\n",
            ["sources.line.kind: 'seriel' is not a kind of source", "serial, mqtt, simulator"],
            id="an unknown kind of source",
        ),
        pytest.param(
            "[sources.line]\nport = 'x'\n",
            ["sources.line.kind: is required", "serial, mqtt, simulator"],
            id="a source without a kind",
        ),
        pytest.param(
            SOURCE + "intervall = 3\n",
            ["sources.sim.intervall: unknown key", "did you mean `interval`?"],
            id="a misspelt key of a source",
        ),
        pytest.param(
            SOURCE + "falback = 'simulator'\n",
            ["sources.sim.falback: unknown key", "did you mean `fallback`?"],
            id="a misspelt key that all sources have",
        ),
        pytest.param(
            SOURCE + "fallback = 'prayer'\n",
            ["sources.sim.fallback: 'prayer' is not allowed", "'none', 'simulator'"],
            id="an unknown fallback",
        ),
        pytest.param(
            '[sources."boiler room"]\nkind = "mqtt"\npassword = "SECRET"\n',
            [
                "sources: 'boiler room' is no name for a key; allowed: letters, digits, . _ -, 1 to 100 of them"
            ],
            id="a blank in a name",
        ),
        pytest.param(
            "[kafka]\ndead_letters_topic = 'readings'\n" + SOURCE,
            ["kafka.dead_letters_topic: 'readings' is not allowed", "kafka.readings_topic"],
            id="one topic for two things",
        ),
        pytest.param(
            "[kafka]\nbootstrap_servers = 'http://k:9092'\n" + SOURCE,
            ["kafka.bootstrap_servers: 'http://k:9092' is not allowed; allowed: HOST:PORT, several with"],
            id="a URL for a Kafka",
        ),
        pytest.param("a = " + "[" * 5000 + "]" * 5000, ["nested too deep"], id="nested too deep"),
        pytest.param(
            '[kafka]\n"\\u001b[31m\\nforged" = 1\n' + SOURCE,
            ["kafka.\\x1b[31m\\nforged: unknown key"],
            id="control characters",
        ),
        pytest.param(
            SOURCE + "simulator = { count = 2 }\n",
            ["sources.sim.simulator: has no effect without fallback"],
            id="settings of a fallback that is not asked for",
        ),
        pytest.param("[kafka\n", ["is not valid TOML", "line 1"], id="no TOML"),
        pytest.param("sources = 3\n", ["sources: 3 is not allowed"], id="a number where a table belongs"),
    ],
)
def test_a_mistake_is_refused_with_file_key_value_and_what_is_allowed(
    tmp_path: Path, text: str, says: list[str]
) -> None:
    message = refused(tmp_path, text)
    for part in says:
        assert part in message
    assert "SECRET" not in message
    assert message.isprintable()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
        load(tmp_path / "nowhere.toml", GatewayConfig)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(path, GatewayConfig)


def test_a_wrong_password_setting_is_not_shown(tmp_path: Path) -> None:
    message = refused(
        tmp_path, "[sources.m]\nkind = 'mqtt'\nbroker = 'b'\ntopics = ['a/#']\npassword = 12345\n"
    )
    assert "sources.m.password" in message
    assert "12345" not in message


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("")
    (tmp_path / "conf.d").mkdir()
    drop_in = tmp_path / "conf.d" / "10-x.toml"
    os.mkfifo(drop_in)
    with pytest.raises(ConfigError, match=r"10-x.toml: cannot be read: is no regular file"):
        load(path, GatewayConfig)
    drop_in.unlink()
    drop_in.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match=r"10-x.toml: cannot be read: is no regular file"):
        load(path, GatewayConfig)
