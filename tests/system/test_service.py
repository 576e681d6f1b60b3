"""`gatewayctl service`, of a real virtual environment in a Debian that is not booted, as pipx makes one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian import CHECKOUT, Debian, missing
from waiting import wait_until

HOME = Path("/opt/pipx/venvs/iot-edge-gateway")
GATEWAYCTL = f"{HOME}/bin/gatewayctl"
STATE = ("STATE_DIRECTORY=/var/lib/gateway", "RUNTIME_DIRECTORY=/run/gateway")
SYSTEMD = Path("etc/systemd/system")


def install_program(debian: Debian, wheels: Path, home: Path = HOME) -> None:
    """What pipx does: a virtual environment, and the wheel in it with all it needs."""
    pip = Path(sys.prefix) / f"lib/python3.{sys.version_info.minor}/site-packages/pip"
    shutil.copytree(pip, debian.root / "srv/pip", dirs_exist_ok=True)
    shutil.copytree(wheels, debian.root / "srv/wheels", dirs_exist_ok=True)
    debian.run("/usr/bin/python3", "-m", "venv", "--without-pip", str(home))
    options = ("-q", "--no-index", "--no-compile", "--find-links", "/srv/wheels")
    debian.run(f"{home}/bin/python", "/srv/pip", "install", *options, "iot-edge-gateway[all]")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    """A Debian with the program, and no service yet."""
    if obstacle := missing():
        if os.environ.get("CI"):
            pytest.fail(obstacle)
        pytest.skip(obstacle)
    wheels = tmp_path_factory.mktemp("wheels")
    (wheel,) = (CHECKOUT / ".cache/wheel").glob("*.whl")
    download = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--python-version",
        "3.11",
        "--only-binary",
        ":all:",
    ]
    subprocess.run([*download, "-d", wheels, f"{wheel}[all]"], check=True)
    debian = Debian("bookworm", tmp_path_factory.mktemp("machine") / "root")
    install_program(debian, wheels)
    yield debian
    shutil.rmtree(debian.root)


@pytest.fixture
def debian(machine: Debian) -> Iterator[Debian]:
    """The same, as it was before each test."""
    yield machine
    machine.run(GATEWAYCTL, "service", "uninstall", "--purge")


def files(debian: Debian) -> dict[str, str]:
    """All there is, but what Python compiles when it likes."""
    return {name: what for name, what in debian.files().items() if "__pycache__" not in name}


def todo(debian: Debian) -> list[str]:
    found: list[str] = json.loads(debian.run(GATEWAYCTL, "service", "show", "--json", check=False))["to_do"]
    return found


def test_an_installation_with_pip_becomes_a_service_once_and_leaves_nothing(debian: Debian) -> None:
    before = files(debian)
    would = debian.run(GATEWAYCTL, "service", "install", "--dry-run").splitlines()
    assert "would enable gateway.service" in would
    assert files(debian) == before

    said = debian.run(GATEWAYCTL, "service", "install").splitlines()
    assert said[:-1] == [line.removeprefix("would ") for line in would]
    assert said[-1] == "systemd does not run here: the service starts with the machine."
    unit = (debian.root / SYSTEMD / "gateway.service").read_text()
    ours = (CHECKOUT / "systemd/gateway.service").read_text().replace("/opt/gateway/bin", f"{HOME}/bin")
    assert unit.split("\n", 1)[1] == ours.replace("in /opt/gateway,", f"in {HOME},")
    assert (debian.root / SYSTEMD / "multi-user.target.wants/gateway.service").is_symlink()
    assert not (debian.root / SYSTEMD / "multi-user.target.wants/gateway-detect.service").is_symlink()
    assert "dialout" in debian.run("id", "gateway")
    rights = debian.run("stat", "-c", "%a %U:%G", "/etc/gateway", "/etc/gateway/gateway.toml")
    assert rights.splitlines() == ["750 root:gateway", "640 root:gateway"]
    assert "1 source(s): simulator" in debian.run(f"{HOME}/bin/gatewayd", "--check")

    installed = files(debian)
    assert todo(debian) == []
    assert "nothing to do" in debian.run(GATEWAYCTL, "service", "install")
    assert files(debian) == installed

    debian.run(GATEWAYCTL, "service", "uninstall", "--purge")
    after = files(debian)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed <= {"etc/tmpfiles.d", "etc/udev/rules.d", str(SYSTEMD / "multi-user.target.wants")}


def test_what_one_run_did_not_come_to_the_next_one_does(debian: Debian) -> None:
    wants = debian.root / SYSTEMD / "multi-user.target.wants"
    aside = wants.with_name("aside")
    if wants.is_dir():
        wants.rename(aside)
    wants.touch()  # so that nothing can be enabled
    try:
        debian.run(GATEWAYCTL, "service", "install", check=False)
    finally:
        wants.unlink()
        if aside.is_dir():
            aside.rename(wants)
    assert not (wants / "gateway.service").is_symlink()
    assert "enable gateway.service" in todo(debian)

    debian.run(GATEWAYCTL, "service", "install")
    assert (wants / "gateway.service").is_symlink()


def test_configuration_is_kept_and_units_are_renewed_by_the_next_run(debian: Debian) -> None:
    debian.run(GATEWAYCTL, "service", "install")
    site = debian.root / "etc/gateway/gateway.toml"
    site.write_text(site.read_text() + "# by hand\n")
    (debian.root / "etc/gateway/conf.d/10-simulator.toml").unlink()
    (debian.root / "etc/gateway/conf.d/50-site.toml").write_text("")
    unit = debian.root / SYSTEMD / "gateway.service"
    current = unit.read_text()
    unit.write_text(current.replace("RestartSec=3", "RestartSec=9"))
    (debian.root / SYSTEMD / "multi-user.target.wants/gateway.service").unlink()

    assert todo(debian) == [
        "write /etc/systemd/system/gateway.service",
        "give /etc/gateway to root and the group gateway alone",
    ]
    debian.run(GATEWAYCTL, "service", "install")

    assert unit.read_text() == current
    assert site.read_text().endswith("# by hand\n")
    assert not (debian.root / "etc/gateway/conf.d/10-simulator.toml").exists()
    assert not (debian.root / SYSTEMD / "multi-user.target.wants/gateway.service").is_symlink(), (
        "who disabled it"
    )
    site_rights = debian.run("stat", "-c", "%a %U:%G", "/etc/gateway/conf.d/50-site.toml")
    assert site_rights.strip() == "640 root:gateway"


def test_what_was_never_sent_is_told_and_kept_until_a_purge(debian: Debian) -> None:
    debian.run(GATEWAYCTL, "service", "install")
    debian.run("install", "-d", "-o", "gateway", "-g", "gateway", "/var/lib/gateway", "/run/gateway")

    def on_disk() -> int:
        said = json.loads(debian.run(GATEWAYCTL, "status", "--json", check=False))
        return int(said.get("spool", {"on_disk": 0})["on_disk"])

    with debian.service(f"{HOME}/bin/gatewayd", "gateway", *STATE):
        wait_until(lambda: on_disk() > 0, "readings on disk")

    would = debian.run(GATEWAYCTL, "service", "uninstall", "--purge", "--dry-run")
    assert "To be deleted with the service, and never delivered to Kafka:\n/var/lib/gateway/spool: " in would
    removed = debian.run(GATEWAYCTL, "service", "uninstall")
    assert "/var/lib/gateway/spool: " in removed
    assert "They are kept, and delivered if the service is installed again; --purge deletes them." in removed
    assert not list((debian.root / SYSTEMD).rglob("gateway*"))
    assert (debian.root / "etc/gateway/gateway.toml").exists()
    assert "nothing to do" in debian.run(GATEWAYCTL, "service", "uninstall")

    purged = debian.run(GATEWAYCTL, "service", "uninstall", "--purge")
    assert "never delivered to Kafka:\n/var/lib/gateway/spool: " in purged
    assert not (debian.root / "var/lib/gateway").exists()
    assert "no such user" in debian.run("id", "gateway", check=False)


def refused(debian: Debian, *words: str, program: str = GATEWAYCTL, user: str = "root") -> str:
    """What is said where it cannot be; nothing may have changed."""
    before = files(debian)
    command = "set +e; " + " ".join((program, "service", *words)) + "; echo code $?"
    shell = ["setpriv", "--reuid", user, "sh", "-c", command] if user != "root" else ["sh", "-c", command]
    said = debian.run(*shell)
    assert said.endswith("code 2\n"), said
    assert files(debian) == before
    return said


def test_it_is_refused_where_it_could_not_work_with_what_to_do(debian: Debian) -> None:
    assert f"only root may do this: sudo {GATEWAYCTL} service" in refused(debian, "install", user="nobody")
    assert "there is no systemd here" in refused(debian, "install", program=f"PATH=/nowhere {GATEWAYCTL}")

    packaged = debian.root / "usr/lib/systemd/system/gateway.service"
    packaged.touch()
    assert "sudo apt remove iot-edge-gateway" in refused(debian, "install")
    assert "a package has brought the service" in refused(debian, "uninstall", "--purge")
    packaged.unlink()

    by_hand = debian.root / SYSTEMD / "gateway.service"
    by_hand.write_text("[Service]\n")
    assert "was not written by this command" in refused(debian, "install")
    by_hand.unlink()

    library = debian.root / str(HOME).lstrip("/")
    library.chmod(0o700)
    assert f"the service may not read {HOME}: sudo chmod -R a+rX {HOME}" in refused(debian, "install")
    library.chmod(0o755)


def test_a_program_in_a_home_folder_is_refused_with_how_to_install_it(debian: Debian) -> None:
    shutil.move(debian.root / "opt/pipx", debian.root / "home/pipx")
    home = "/home/pipx/venvs/iot-edge-gateway"
    try:
        said = refused(debian, "install", program=f"{home}/bin/python -Im gateway.cli.main")
        assert f"{home}/bin/gatewayd lies in /home, which the service does not see" in said
        assert "sudo PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install" in said
    finally:
        shutil.move(debian.root / "home/pipx", debian.root / "opt/pipx")


def test_a_package_says_what_to_remove_first(debian: Debian) -> None:
    debian.run(GATEWAYCTL, "service", "install")
    shutil.copy(CHECKOUT / "tools/debian/preinst", debian.root / "srv/preinst")

    said = debian.run("sh", "-c", "/srv/preinst install; echo code $?")
    assert "gatewayctl service uninstall" in said
    assert said.endswith("code 1\n")
