"""The Debian packages, as dpkg treats them: built, installed, upgraded and purged in a Debian that is not booted."""

import json
import platform
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from debian import ARCHITECTURES, CHECKOUT, Debian
from fixtures_debian import MACHINES, NAME, SOURCE, build
from packaging.requirements import Requirement
from waiting import wait_until

from gateway.cli.completion import PROGRAMS, SHELLS, script

STATE = ("STATE_DIRECTORY=/var/lib/gateway", "RUNTIME_DIRECTORY=/run/gateway")


@pytest.fixture
def debian(tmp_path: Path, deb: Path) -> Iterator[Debian]:
    del deb  # which says what is missing
    yield Debian("bookworm", tmp_path / "root")
    shutil.rmtree(tmp_path / "root")


def status(debian: Debian) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(debian.run("gatewayctl", "status", "--json", check=False))
    return found


def on_disk(debian: Debian) -> int:
    """How many readings a running gateway has on disk; none before it answers."""
    return int(status(debian).get("spool", {"on_disk": 0})["on_disk"])


def unsent(debian: Debian) -> int:
    """How many readings wait in a spool that nobody runs."""
    found = re.search(
        r"^/var/lib/gateway/spool: (\d+) readings", debian.run("/opt/gateway/bin/gateway-unsent")
    )
    return int(found[1]) if found else 0


def run_by_hand(debian: Debian) -> None:
    """What systemd makes for a service before its start."""
    debian.run("install", "-d", "-o", "gateway", "-g", "gateway", "/var/lib/gateway", "/run/gateway")


@pytest.mark.parametrize("architecture", MACHINES)
def test_a_package_has_libraries_of_its_own_architecture_for_each_python(
    architecture: str, debs: dict[str, Path], tmp_path: Path
) -> None:
    subprocess.run(["dpkg-deb", "--extract", debs[architecture], tmp_path], check=True)

    compiled = [path for path in tmp_path.rglob("*.so*") if path.read_bytes()[:4] == b"\x7fELF"]
    assert {int.from_bytes(path.read_bytes()[18:20], "little") for path in compiled} == {
        MACHINES[architecture]
    }
    for python in ("3.11", "3.13"):
        own = [path.name for path in compiled if f"/python{python}/" in str(path)]
        assert [name for name in own if f"cpython-{python.replace('.', '')}" in name]
        for library in ("confluent_kafka", "msgspec", "numpy", "re2", "structlog", "zstandard"):
            assert (tmp_path / f"opt/gateway/lib/python{python}/site-packages" / library).is_dir()


def test_the_same_commit_gives_the_same_package(deb: Path, tmp_path: Path) -> None:
    (again,) = build(tmp_path, ARCHITECTURES[platform.machine()])

    assert again.read_bytes() == deb.read_bytes()


def test_the_libraries_of_a_package_are_those_the_project_asks_for() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    locked = dict(line.split()[0].split("==") for line in (SOURCE / "libraries.txt").read_text().splitlines())

    for text in (*project["dependencies"], *extras["detect"], *extras["regex"]):
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[wanted.name.lower()]), text


def test_an_installed_gateway_works_with_simulated_devices_and_without_kafka(
    debian: Debian, deb: Path
) -> None:
    debian.install(deb)

    assert "1 source(s): simulator" in debian.run("gatewayd", "--check")
    assert "accepted" in debian.run("gateway-detect", "--check")
    assert (
        debian.run("readlink", "-f", "/etc/systemd/system/multi-user.target.wants/gateway.service")
        .strip()
        .endswith("/systemd/system/gateway.service")
    )
    assert debian.run("stat", "-c", "%a %U:%G", "/etc/gateway", "/etc/gateway/gateway.toml").split("\n")[
        :2
    ] == [
        "750 root:gateway",
        "640 root:gateway",
    ]
    assert "dialout" in debian.run("id", "gateway")
    before = debian.files()
    for maintainer_script, action in (
        ("postinst", "configure"),
        ("prerm", "failed-upgrade"),
        ("postinst", "abort-upgrade"),
    ):
        debian.run(f"/var/lib/dpkg/info/{NAME}.{maintainer_script}", action, "1.0")
    assert debian.files() == before, "a maintainer script that is run again changes something"
    run_by_hand(debian)
    with debian.service("gatewayd", "gateway", *STATE):
        wait_until(lambda: on_disk(debian) > 0, "readings on disk")


def test_debian_13_takes_the_same_package(deb: Path, tmp_path: Path) -> None:
    debian = Debian("trixie", tmp_path / "root")
    debian.install(deb)

    assert "python           3.13." in debian.run("gatewayctl", "version")
    assert "accepted" in debian.run("gatewayd", "--check")
    assert "accepted" in debian.run("gateway-detect", "--check")
    assert (
        debian.run("/opt/gateway/bin/python3", "-Ic", "import numpy, re2, zstandard, confluent_kafka") == ""
    )
    shutil.rmtree(tmp_path / "root")


def test_an_upgrade_keeps_what_waits_and_what_was_configured_and_lets_the_service_run(
    debian: Debian, deb: Path, newer: Path
) -> None:
    debian.install(deb)
    run_by_hand(debian)
    drop_in = debian.root / "etc/gateway/conf.d/50-site.toml"
    drop_in.write_text('[gateway]\nid = "boiler-house"\n')
    drop_in.chmod(0o600)
    edited = debian.root / "etc/gateway/detect.toml"
    edited.write_text(edited.read_text() + "# by hand\n")
    debian.run("systemd-tmpfiles", "--create", f"{NAME}.conf")

    with debian.service("gatewayd", "gateway", *STATE) as before:
        wait_until(lambda: on_disk(debian) > 0, "readings on disk")
        debian.install(newer, "--force-confold")
        assert before.poll() is None
        assert status(debian)["gateway"]["id"] == "boiler-house"
        kept = on_disk(debian)
    waiting = unsent(debian)
    assert waiting >= kept > 0
    assert edited.read_text().endswith("# by hand\n")
    assert (debian.root / "etc/gateway/gateway.toml").read_text().endswith("# new in 1.1\n")
    assert debian.run("stat", "-c", "%a %U:%G", "/etc/gateway/gateway.toml").strip() == "640 root:gateway"
    with debian.service("gatewayd", "gateway", *STATE):
        wait_until(lambda: on_disk(debian) > waiting, "more readings on disk")


def test_a_purge_says_what_was_never_sent_and_leaves_nothing(debian: Debian, deb: Path) -> None:
    before, users = debian.files(), (debian.root / "etc/passwd").read_text()
    debian.install(deb)
    run_by_hand(debian)
    (debian.root / "etc/gateway/line-2.toml").write_text("")
    (debian.root / "etc/gateway/secrets").mkdir()
    with debian.service("gatewayd", "gateway", *STATE):
        wait_until(lambda: on_disk(debian) > 0, "readings on disk")
    waiting = unsent(debian)

    removed = debian.run("dpkg", "--remove", NAME)
    assert f"/var/lib/gateway/spool: {waiting} readings and 0 dead letters wait for Kafka\n" in removed
    assert "if the package is installed again" in removed
    assert (debian.root / "etc/gateway/gateway.toml").exists()
    debian.install(deb)
    assert unsent(debian) == waiting

    purged = debian.run("dpkg", "--purge", NAME)
    assert re.search(rf"never delivered to Kafka:\n/var/lib/gateway/spool: {waiting} readings", purged)
    after = debian.files()
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == set()
    assert (debian.root / "etc/passwd").read_text() == users


def test_an_installation_by_hand_is_not_overwritten(debian: Debian, deb: Path) -> None:
    by_hand = debian.root / "opt/gateway/pyvenv.cfg"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_text("home = /usr/bin\nversion = 3.11.2\n")

    with pytest.raises(AssertionError, match="installation made by hand"):
        debian.install(deb)
    assert not (debian.root / "opt/gateway/lib").exists()


def test_scripts_are_free_of_what_shellcheck_knows() -> None:
    scripts = [
        path
        for path in SOURCE.iterdir()
        if path.read_bytes().startswith((b"#!/bin/sh", b"#!/usr/bin/env bash"))
    ]
    assert len(scripts) >= 7
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_package_brings_completion_to_where_each_shell_looks(deb: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "--extract", deb, tmp_path], check=True)
    folders = {
        "bash": "bash-completion/completions/{}",
        "zsh": "zsh/vendor-completions/_{}",
        "fish": "fish/vendor_completions.d/{}.fish",
    }

    for shell in SHELLS:
        for program in PROGRAMS:
            path = tmp_path / "usr/share" / folders[shell].format(program)
            assert path.read_text(encoding="utf-8") == script(shell, program)


def test_each_command_has_a_man_page(deb: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "--extract", deb, tmp_path], check=True)
    pages = {path.name for path in (tmp_path / "usr/share/man").rglob("*.gz")}
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert {name.split(".")[0] for name in pages} == set(project["scripts"])
