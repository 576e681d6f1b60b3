from pathlib import Path
from typing import Any

import pytest

from devices import registry
from devices.errors import SettingError, SourceRefused
from devices.mqtt.dial import password
from devices.mqtt.settings import Settings
from devices.mqtt.source import MqttSource
from devices.source import Home
from devices.tls import Tls, TlsFileError, tls_context


def opened(**more: Any) -> MqttSource:
    table = {"kind": "mqtt", "broker": "broker.example", "topics": ["plant/{device}/{sensor}"], **more}
    source = registry.open_source("plant", table, Home("gw-7"))
    assert isinstance(source, MqttSource)
    return source


def test_the_session_is_named_after_gateway_and_source() -> None:
    assert opened().client_id == "gw-7:plant"
    assert opened(client_id="mine").client_id == "mine"


def test_a_host_is_a_name_or_an_address_of_either_kind() -> None:
    for host in ("broker.example", "192.0.2.1", "2001:db8::1", "fe80::1%eth0"):
        assert opened(broker=host).name == "plant"


def test_the_port_follows_tls_unless_it_is_given() -> None:
    assert Settings("b", ["t"]).address == ("b", 1883)
    assert Settings("b", ["t"], tls=True).address == ("b", 8883)
    assert Settings("b", ["t"], tls=Tls(), port=1).address == ("b", 1)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"topics": []}, "sources.plant.topics"),
        ({"topics": ["ok", "a/#/b"]}, "sources.plant.topics.1: 'a/#/b' has # before its end"),
        ({"topics": [{"pattern": "a", "decoder": "nope"}]}, "sources.plant.topics.0.decoder.kind"),
        ({"topics": [{"pattern": "a", "devise": "x"}]}, "did you mean `device`?"),
        (
            {"topics": [{"pattern": "{device}", "device": "x"}]},
            "sources.plant.topics.0.device: excludes {device}",
        ),
        (
            {"topics": [{"pattern": "{sensor}", "sensor": "x"}]},
            "sources.plant.topics.0.sensor: excludes {sensor}",
        ),
        ({"topics": [{"pattern": "a", "sensor": "\n"}]}, "sources.plant.topics.0.sensor: is no name"),
        ({"device": "\n"}, "sources.plant.device: is no name"),
        ({"decoder": "nope"}, "sources.plant.decoder.kind"),
        ({"password": "hunter2"}, "sources.plant.username: is missing"),
        ({"username": "u", "password": "hunter2", "password_file": "f"}, "password_file: excludes password"),
        ({"tls": {"key": "k.pem"}}, "sources.plant.tls.cert: is missing"),
        ({"version": "3.1"}, "sources.plant.version"),
        ({"receive_maximum": 0}, "sources.plant.receive_maximum"),
        ({"broker": []}, "sources.plant.broker"),
        (
            {"broker": "b:1883"},
            "broker: 'b:1883' is not allowed: the port has a key of its own; write broker = \"b\" and port = 1883",
        ),
        ({"broker": ["b", "c:1"]}, "sources.plant.broker.1: 'c:1' is not allowed"),
        ({"broker": "[::1]:1883"}, "without brackets"),
        ({"broker": ["ok", "not ok"]}, "sources.plant.broker"),
        ({"status_topic": "a/#"}, "sources.plant.status_topic: 'a/#' has + or #"),
        ({"status_topic": "a/{device}"}, "neither {gateway} nor {source}"),
        ({"status_topic": "$SYS/a"}, "begins with $"),
        ({"status_topic": "a\0"}, "null character"),
        ({"status_topic": "a" * 2000}, "longer than 1024"),
        ({"brokr": "x"}, "did you mean `broker`?"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(more: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as error:
        opened(**more)
    assert message in str(error.value)
    assert "hunter2" not in str(error.value)


def test_the_password_comes_from_the_credentials_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mqtt").write_text("s3cret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert password(Settings("b", ["t"], username="u", password_file="mqtt"))  # noqa: S106 - a file name == "s3cret"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert password(Settings("b", ["t"], username="u", password_file=str(tmp_path / "mqtt"))) == "s3cret"


def test_a_password_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match=r"absent cannot be read: No such file"):
        password(Settings("b", ["t"], username="u", password_file=str(tmp_path / "absent")))


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TlsFileError, match=r"tls.ca .*absent.pem cannot be used: No such file"):
        tls_context(Tls(ca=str(tmp_path / "absent.pem")))
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(TlsFileError, match=r"broken.pem cannot be used"):
        tls_context(Tls(ca=str(broken)))
    with pytest.raises(TlsFileError, match=r"tls.cert .*broken.pem"):
        tls_context(Tls(cert=str(broken)))
