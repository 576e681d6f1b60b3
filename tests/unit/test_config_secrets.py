"""Secrets come from files or from systemd, and are shown nowhere."""

import json
from pathlib import Path

import pytest
from confluent_kafka import Producer

from devices.tls import Tls, TlsFileError, tls_context
from gateway import main as gatewayd
from gateway.cli.main import main
from gateway.config import ConfigError, GatewayKafka
from gateway.detect import service
from gateway.kafka.client import options_of, properties

SECRET = "hunter2"  # noqa: S105 - to be looked for
GATEWAY = f"""
[kafka.options]
"sasl.password" = "{SECRET}"
"ssl.key.password" = "{SECRET}"
"sasl.oauthbearer.client.secret" = "{SECRET}"
"ssl.key.pem" = "{SECRET}"
[sources.m]
kind = "mqtt"
broker = "b"
topics = ["a/#"]
username = "u"
password = "{SECRET}"
"""
DETECT = f'[kafka.options]\n"sasl.password" = "{SECRET}"\n[mqtt]\nusername = "u"\npassword = "{SECRET}"\n'


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def test_an_option_of_the_kafka_client_comes_from_a_file_or_a_credential(
    tmp_path: Path, credentials: Path
) -> None:
    (credentials / "kafka").write_text("from systemd\n")
    (tmp_path / "key").write_text("from a file")
    options: dict[str, str | int | float | bool] = {
        "sasl.mechanism": "PLAIN", "sasl.password_file": "kafka", "ssl.key.password_file": str(tmp_path / "key"),
    }  # fmt: skip

    found = properties(GatewayKafka(options=options), "c")

    assert found["sasl.password"] == "from systemd"
    assert found["ssl.key.password"] == "from a file"
    assert not any(key.endswith("_file") for key in found)
    Producer({**found, "log_level": 0})


def test_a_changed_file_is_found_and_one_that_is_gone_since_ends_nothing(credentials: Path) -> None:
    kafka = GatewayKafka(options={"sasl.password_file": "rotating"})
    with pytest.raises(
        ConfigError, match=r"kafka.options.sasl.password_file: '.*rotating' cannot be read: No such"
    ):
        options_of(kafka)
    for text in ("one", "two"):
        (credentials / "rotating").write_text(text)
        assert options_of(kafka) == {"sasl.password": text}
    (credentials / "rotating").unlink()
    assert options_of(kafka) == {"sasl.password": "two"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            '"sasl.password" = "x"\n"sasl.password_file" = "y"',
            "'sasl.password_file' excludes 'sasl.password'",
        ),
        ('"sasl.password_file" = 3', "'sasl.password_file' must be the path of a file"),
        ('"group.id_file" = "x"', "'group.id_file' is not allowed: set gateway.id"),
        (
            '"sasl.password_file" = "/nowhere/x"',
            "sasl.password_file: '/nowhere/x' is not there: No such file",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, says: str
) -> None:
    (tmp_path / "conf.d").mkdir()
    dropped = tmp_path / "conf.d" / "a.toml"
    dropped.write_text(f"[kafka.options]\n{options}\n")
    path = tmp_path / "gateway.toml"
    path.write_text('[kafka.options]\n"security.protocol" = "ssl"\n[sources.s]\nkind = "simulator"\n')

    assert main(["config", "check", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{dropped}: kafka.options")
    assert says in said


def test_gatewayd_that_cannot_read_a_secret_does_not_start_and_says_which(
    tmp_path: Path, credentials: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.toml"
    start = (
        f'[gateway]\nid = "g"\nstate_dir = "{tmp_path}"\n[kafka.options]\n"sasl.password_file" = "absent"\n'
    )
    path.write_text(start + '[sources.s]\nkind = "simulator"\n')

    assert gatewayd.main(["--config", str(path)]) == 2
    missing = credentials / "absent"
    expected = f"gatewayd: {path}: kafka.options.sasl.password_file: '{missing}' cannot be read: No such file"
    assert expected in capsys.readouterr().err


def test_pem_files_of_a_broker_are_looked_up_among_the_credentials(credentials: Path) -> None:
    with pytest.raises(TlsFileError, match=rf"tls.ca {credentials}/ca.pem cannot be used: No such file"):
        tls_context(Tls(ca="ca.pem"))


@pytest.mark.parametrize("name", ["gateway.toml", "detect.toml"])
@pytest.mark.parametrize(
    "verb", ["show", "show --json", "diff", "diff --json", "diff OTHER", "diff OTHER --json"]
)
def test_no_secret_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, verb: str) -> None:
    path, other = tmp_path / name, tmp_path / f"{name.removesuffix('.toml')}-2.toml"
    text = GATEWAY if name == "gateway.toml" else DETECT
    path.write_text(text)
    other.write_text(text.replace(SECRET, f"{SECRET}3"))
    words = [str(other) if word == "OTHER" else word for word in verb.split()]
    words.insert(1, str(path))

    assert main(["config", *words]) == (0 if "show" in verb else 1)
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    assert "(not shown)" in out
    assert "sasl.password" in out, "that there is one, and where, is shown"


@pytest.mark.parametrize(
    "wrong", ["\n[nonsense]", "\n[log]\nlevel = 3", "\nbroken", '\n[kafka.x]\npassword = "{SECRET}"']
)
@pytest.mark.parametrize(("name", "run"), [("gateway.toml", gatewayd.main), ("detect.toml", service.main)])
def test_no_refusal_shows_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, name: str, run: object
) -> None:
    assert callable(run)
    path = tmp_path / name
    path.write_text((GATEWAY if name == "gateway.toml" else DETECT) + wrong.replace("{SECRET}", SECRET))

    assert run(["--config", str(path)]) == 2
    assert main(["config", "check", str(path), "--json"]) == 2
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    assert not json.loads(out)["accepted"]


@pytest.mark.parametrize("broker", [f"mqtt://u:{SECRET}@b", f"u:{SECRET}@b", f"u:{SECRET}@b:1883"])
def test_a_password_before_the_host_is_refused_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broker: str
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(f'[sources.m]\nkind = "mqtt"\nbroker = "{broker}"\ntopics = ["a/#"]\n')

    assert main(["config", "check", str(path)]) == 2
    said = capsys.readouterr().err
    main(["config", "show", str(path)])
    assert SECRET not in said + capsys.readouterr().out
    assert f"{path}: sources.m.broker" in said
    assert "u:(not shown)@b" in said
