"""`[kafka]`: how to get in, what the client is told, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from devices.tls import Tls
from gateway.cli.main import main
from gateway.config import ConfigError, Kafka
from gateway.kafka.client import options_of
from gateway.kafka_access import KafkaAccess, OAuth, loopback

SOURCE = '\n[sources.s]\nkind = "simulator"\n'


@pytest.mark.parametrize(
    ("access", "options"),
    [
        ({}, {}),
        ({"tls": True}, {"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": "https"}),
        (
            {"tls": Tls("/ca", "/cert", "/key")},
            {
                "security.protocol": "SSL",
                "ssl.endpoint.identification.algorithm": "https",
                "ssl.ca.location": "/ca",
                "ssl.certificate.location": "/cert",
                "ssl.key.location": "/key",
            },
        ),
        (
            {"username": "u", "password_file": "p"},
            {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "u",
                "sasl.password_file": "p",
            },
        ),
        (
            {"tls": True, "oauth": OAuth("https://t", "c", "s", scope="kafka")},
            {
                "security.protocol": "SASL_SSL",
                "ssl.endpoint.identification.algorithm": "https",
                "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.client.id": "c",
                "sasl.oauthbearer.client.secret_file": "s",
                "sasl.oauthbearer.token.endpoint.url": "https://t",
                "sasl.oauthbearer.scope": "kafka",
            },
        ),
    ],
)
def test_settings_become_what_the_client_calls_them(access: dict[str, Any], options: dict[str, str]) -> None:
    assert KafkaAccess(**access).client_options() == options


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('password_file = "p"', "kafka.username: is missing"),
        ('username = "u"', "kafka.password_file: is missing"),
        (
            'bootstrap_servers = "k:9092"\nusername = "u"\npassword_file = "p"',
            "kafka.username: would cross the network unencrypted",
        ),
        ('bootstrap_servers = "localhost:1, k:9092"\nusername = "u"\npassword_file = "p"', "set tls = true"),
        (
            'tls = true\nusername = "u"\npassword_file = "p"\noauth = {token_url = "https://t", client_id = "c", client_secret_file = "s"}',
            "kafka.oauth: excludes username",
        ),
        ("oauth = true", "kafka.oauth: true is not allowed"),
        (
            'tls = true\noauth = {token_url = "http://t.example:80/x", client_id = "c", client_secret_file = "s"}',
            "kafka.oauth.token_url: would send the secret",
        ),
        (
            'oauth = {token_url = "ftp://t", client_id = "c", client_secret_file = "s"}',
            "allowed: a URL, https://...",
        ),
        ('tls = {key = "k"}', "kafka.tls.cert: is missing"),
        ('tls = true\noptions = {"ssl.ca.location" = "x"}', ""),
        ('tls = {ca = "x"}\noptions = {"ssl.ca.location" = "x"}', "'ssl.ca.location' excludes kafka.tls"),
        ('tls = true\noptions = {"security.protocol" = "ssl"}', "'security.protocol' excludes kafka.tls"),
        ('tls = true\noptions = {"ssl.endpoint.identification.algorithm" = "none"}', "excludes kafka.tls"),
        (
            'username = "u"\npassword_file = "p"\noptions = {"sasl.password" = "x"}',
            "'sasl.password' excludes kafka.password_file",
        ),
        ('mechanism = "GSSAPI"', "kafka.mechanism: 'GSSAPI' is not allowed"),
        ('tls = {ca = "/nowhere/ca.pem"}', "kafka.tls.ca: /nowhere/ca.pem cannot be used: No such file"),
    ],
)
def test_what_is_unsafe_or_means_nothing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: str, says: str
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(f"[kafka]\n{settings}\n{SOURCE}")

    assert main(["config", "check", str(path)]) == 2
    assert says in capsys.readouterr().err


def test_a_password_over_plain_text_is_for_this_machine_alone(tmp_path: Path) -> None:
    secret = tmp_path / "p"
    secret.write_text("x")
    secret.chmod(0o600)
    path = tmp_path / "gateway.toml"
    servers = 'bootstrap_servers = "localhost:9092, 127.0.0.2:1, [::1]:2"'
    path.write_text(f'[kafka]\n{servers}\nusername = "u"\npassword_file = "{secret}"\n{SOURCE}')

    assert main(["config", "check", str(path)]) == 0
    assert not loopback("127.0.0.1.example")
    assert not loopback("localhost.example")


def test_an_empty_secret_is_refused_at_the_start_and_does_not_replace_one_that_was_read(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "password"
    secret.write_text("")
    config = Kafka(username="u", password_file=str(secret))
    with pytest.raises(ConfigError, match=r"kafka.password_file: .* cannot be read: it is empty"):
        options_of(config)
    secret.write_text("right\n")
    assert options_of(config)["sasl.password"] == "right"
    secret.write_text("")  # as for a moment while it is replaced
    assert options_of(config)["sasl.password"] == "right"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (
            'username = "u"\npassword_file = "/p"\noptions = { "security.protocol" = "SASL_SSL" }',
            "excludes kafka.username",
        ),
        ('tls = true\noptions = { "security.protocol" = "SSL" }', "excludes kafka.tls"),
        (
            'options = { "ssl.ca.location" = "/none/ca.pem" }',
            "kafka.options.ssl.ca.location: '/none/ca.pem' is not there",
        ),
    ],
)
def test_an_option_is_refused_with_the_key_that_it_is_about(
    keys: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(f"[kafka]\n{keys}\n{SOURCE}")

    assert main(["config", "check", str(path)]) == 2
    assert says in capsys.readouterr().err
