"""Who else may read and write the configuration, the secrets and the state, and settings that let strangers in."""

import os
from pathlib import Path

import pytest

from gateway import main as gatewayd
from gateway.cli.main import main
from gateway.config_files import ConfigError
from gateway.guard import look

STRANGE = 54_321
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to other groups")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    secret.chmod(0o600)
    path = tmp_path / "gateway.toml"
    path.write_text(f'[kafka]\npassword_file = "{secret}"\n')
    path.chmod(0o644)
    return path


def test_files_as_they_should_be_are_left_in_peace(config: Path, tmp_path: Path) -> None:
    assert look(config, tmp_path) == []


@pytest.mark.parametrize("which", ["gateway.toml", "password", "conf.d/x.toml", "conf.d", "state", "."])
def test_what_everybody_may_write_is_refused_with_what_mends_it(
    config: Path, tmp_path: Path, which: str
) -> None:
    for folder in ("conf.d", "state"):
        (tmp_path / folder).mkdir()
    (tmp_path / "conf.d" / "x.toml").touch()
    path = tmp_path / which
    path.chmod(path.stat().st_mode | 0o002)

    with pytest.raises(
        ConfigError, match=rf"{path}: everybody on this machine may write it; .* chmod o-w {path}$"
    ):
        look(config, tmp_path / "state")


def test_a_folder_in_which_each_may_write_his_own_only_is_no_danger(config: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)

    assert look(config) == []


@root
def test_a_group_that_is_not_that_of_the_service_may_not_write(config: Path) -> None:
    os.chown(config, -1, STRANGE)
    config.chmod(0o664)

    with pytest.raises(
        ConfigError, match=rf"the group {STRANGE}, which is not that of the service, may write"
    ):
        look(config)


@root
@pytest.mark.parametrize("which", ["gateway.toml", "password", "."])
def test_what_belongs_to_a_stranger_is_refused_and_to_who_became_root_is_not(
    config: Path, tmp_path: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(tmp_path / which, STRANGE, -1)

    with pytest.raises(ConfigError, match=rf"belongs to {STRANGE}, .*; mend it with: chown root "):
        look(config)
    monkeypatch.setenv("SUDO_UID", str(STRANGE))
    assert look(config) == []


def test_the_folder_behind_a_link_counts_and_a_file_is_no_folder(config: Path, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    secret = (tmp_path / "password").rename(tmp_path / "open" / "password")
    (tmp_path / "password").symlink_to(secret)
    with pytest.raises(ConfigError, match=rf"^{tmp_path / 'open'}: everybody on this machine may write it"):
        look(config)
    (tmp_path / "open").chmod(0o755)
    secret.chmod(0o1666)
    with pytest.raises(ConfigError, match="password: everybody on this machine may write it"):
        look(config)


@pytest.mark.parametrize("key", ["ca", "cert", "key"])
@pytest.mark.parametrize("table", ["kafka", "sources.m", "mqtt"])
def test_files_of_tls_are_looked_at_and_a_certificate_with_its_key_in_it_is_a_secret(
    tmp_path: Path, table: str, key: str
) -> None:
    file = tmp_path / "some.pem"
    file.touch(0o644)
    config = tmp_path / "gateway.toml"
    config.write_text(f'[{table}]\ntls = {{ {key} = "{file}" }}\n')

    assert bool(look(config)) == (key != "ca")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match=f"{file}: everybody on this machine may write it"):
        look(config)


@root
def test_a_secret_that_another_group_may_read_is_told(config: Path, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    os.chown(secret, -1, STRANGE)
    secret.chmod(0o640)

    [said] = look(config)
    assert f"{secret} holds a secret, and the group {STRANGE}" in said


def test_a_secret_that_everybody_may_read_is_told_and_its_file_is_found_in_every_table(
    tmp_path: Path,
) -> None:
    paths = [tmp_path / name for name in ("one", "two", "three", "four")]
    for path in paths:
        path.touch(0o644)
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[kafka]\ntls = {{ key = "{paths[0]}" }}\noauth = {{ client_secret_file = "{paths[1]}" }}\n'
        f'[kafka.options]\n"ssl.key.location" = "{paths[2]}"\n[sources.m]\npassword_file = "{paths[3]}"\n'
    )

    assert [said.split()[0] for said in look(config)] == [str(path) for path in paths]


def test_a_configuration_that_everybody_may_read_is_told_only_if_it_holds_a_secret(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[sources.m]\npassword = "hunter2"\n')
    config.chmod(0o644)

    [said] = look(config)
    assert said == (
        f"{config} holds a secret, and everybody on this machine may read it; mend it with: chmod o-rwx {config}"
    )
    config.write_text('[sources.m]\npassword = ""\n')
    assert look(config) == []


def test_what_systemd_hands_over_is_not_looked_at(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir(0o777)
    (credentials / "password").touch(0o666)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    config.write_text('[kafka]\npassword_file = "password"\n')

    assert look(config) == []


def test_gatewayd_and_config_check_refuse_and_say_it(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('[sources.s]\nkind = "simulator"\n')
    config.chmod(0o666)

    assert gatewayd.main(["--config", str(config)]) == 2
    assert f"gatewayd: {config}: everybody on this machine may write it" in capsys.readouterr().err
    assert main(["config", "check", str(config)]) == 2
    assert f"{config}: everybody on this machine may write it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            '[kafka.options]\n"enable.ssl.certificate.verification" = false',
            "anybody in the network can pose as the broker",
        ),
        (
            '[kafka.options]\n"ssl.endpoint.identification.algorithm" = "none"',
            "anybody in the network can pose",
        ),
        (
            '[kafka]\nbootstrap_servers = "k:1"\noptions = {"security.protocol" = "SASL_PLAINTEXT"}',
            "set kafka.tls",
        ),
        ('[kafka]\noptions = {"security.protocol" = "SASL_PLAINTEXT"}', ""),
        (
            '[sources.m]\nbroker = "b"\nusername = "u"',
            "sources.m.username: it and the password are sent for everybody",
        ),
        ('[sources.m]\nbroker = ["127.0.0.1", "b"]\nusername = "u"', "set sources.m.tls"),
        ('[sources.m]\nbroker = "localhost"\nusername = "u"', ""),
        ('[sources.m]\nbroker = "b"\nusername = "u"\ntls = true', ""),
        ('[sources.m]\nbroker = "b"', ""),
        ('[mqtt]\nbroker = "b"\nusername = "u"', "mqtt.username: "),
    ],
)
def test_settings_that_let_strangers_in_are_told(tmp_path: Path, settings: str, says: str) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(settings)

    said = look(config)
    assert bool(said) == bool(says)
    assert not said or says in said[0]
