"""Fixtures of the Debian packages, which are built once for all tests that install them."""

import fcntl
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from booted import Booted, unbootable
from debian import ARCHITECTURES, CHECKOUT, missing
from kafka import KafkaServer
from service import Service

SOURCE: Final = CHECKOUT / "tools" / "debian"
NAME: Final = "iot-edge-gateway"
MACHINES: Final = {"amd64": 62, "arm64": 183}
"""e_machine of ELF files."""


def build(folder: Path, *architectures: str) -> list[Path]:
    """Build the packages as version 1.0, without packing them small, which takes long."""
    done = subprocess.run(
        [SOURCE / "build", "1.0", *architectures],
        env={**os.environ, "DIST": str(folder), "COMPRESSION": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.split()]


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The packages by architecture."""
    _require(missing())
    # Of all workers that test side by side one builds.
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / "debs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = shared / "debs"
        if not (folder / "complete").exists():
            build(folder, *MACHINES)
            (folder / "complete").touch()
    return {name: folder / f"{NAME}_1.0_{name}.deb" for name in MACHINES}


@pytest.fixture(scope="session")
def deb(debs: dict[str, Path]) -> Path:
    """The package for this machine."""
    return debs[ARCHITECTURES[platform.machine()]]


@pytest.fixture(scope="session")
def newer(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same package as version 1.1, with another default configuration."""
    tree = tmp_path_factory.mktemp("newer") / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("Version: 1.0\n", "Version: 1.1\n"))
    for name in ("gateway.toml", "detect.toml"):
        with (tree / "etc" / "gateway" / name).open("a") as file:
            file.write("# new in 1.1\n")
    path = tree.with_name("newer.deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, path], check=True)
    return path


@pytest.fixture
def unbooted(deb: Path, tmp_path: Path) -> Booted:
    """A Debian 12 without the package, to be booted by the test."""
    del deb  # which says what is missing
    _require(unbootable())
    return Booted("bookworm", tmp_path / "root")


@pytest.fixture(scope="session")
def machine(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """A booted Debian 12 with the package, for tests that each leave it as it was."""
    _require(unbootable())
    with Booted("bookworm", tmp_path_factory.mktemp("machine") / "root") as machine:
        machine.install(deb)
        yield machine


@pytest.fixture
def service(machine: Booted, kafka: KafkaServer, topic: str) -> Iterator[Service]:
    """The gateway on that machine, not configured and not started, with the Kafka of all tests."""
    service = Service(machine, kafka, topic)
    service.clear()
    yield service
    # Told with a test that failed.
    print(machine.run("journalctl", "--quiet", "--lines=60", "--no-hostname", "--unit=gateway*"))
    service.clear()


def _require(obstacle: str) -> None:
    if obstacle:
        if os.environ.get("CI"):
            pytest.fail(obstacle)
        pytest.skip(obstacle)
