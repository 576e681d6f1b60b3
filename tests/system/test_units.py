import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
UNITS = sorted((CHECKOUT / "systemd").glob("*.service"), key=lambda unit: unit.name)


def analyze(*arguments: str) -> str:
    if shutil.which("systemd-analyze") is None:
        obstacle = "systemd-analyze is not installed: sudo apt-get install systemd"
        if os.environ.get("CI"):
            pytest.fail(obstacle)
        pytest.skip(obstacle)
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def values(unit: Path, key: str) -> list[str]:
    lines = unit.read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def test_each_service_has_its_unit() -> None:
    assert [unit.name for unit in UNITS] == ["gateway-detect.service", "gateway.service", "gateway@.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    # The program is not installed where the unit expects it.
    copy.write_text(re.sub(r"(?m)^(Exec\w+)=/opt\S+", r"\1=/bin/true", unit.read_text(encoding="utf-8")))

    assert unit.name not in analyze("verify", "--recursive-errors=no", str(copy))


@pytest.mark.parametrize(
    ("name", "highest"),
    [("gateway.service", 1.5), ("gateway@.service", 1.5), ("gateway-detect.service", 1.2)],
)
def test_each_service_is_as_confined_as_its_work_allows(name: str, highest: float) -> None:
    report = analyze("security", "--offline=true", str(CHECKOUT / "systemd" / name))

    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)
    assert found is not None, report
    assert float(found[1]) <= highest, report


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_each_unit_starts_a_command_that_the_project_installs(unit: Path) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (command,) = values(unit, "ExecStart")

    assert Path(command.split()[0]).name in project["scripts"]


def test_a_reload_fails_where_the_configuration_is_refused_and_asks_the_instance_that_is_meant() -> None:
    for name, folder in (("gateway.service", "gateway"), ("gateway@.service", "gateway@%i")):
        [command] = values(CHECKOUT / "systemd" / name, "ExecReload")
        assert command == f"/opt/gateway/bin/gatewayctl reload --socket /run/{folder}/gatewayd.sock"
        assert values(CHECKOUT / "systemd" / name, "RuntimeDirectory") == [folder]

    detect = CHECKOUT / "systemd" / "gateway-detect.service"
    [start] = values(detect, "ExecStart")
    assert values(detect, "ExecReload") == [f"{start} --check", '/bin/sh -c "kill -HUP $MAINPID"']


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_an_outage_never_makes_systemd_give_up_but_a_refused_configuration_does(unit: Path) -> None:
    assert values(unit, "StartLimitIntervalSec") == ["0"]
    assert values(unit, "Restart") == ["always"]
    refused = "2" if unit.name == "gateway-detect.service" else "2 3"
    assert values(unit, "RestartPreventExitStatus") == [refused]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_no_start_waits_for_the_network_or_the_time(unit: Path) -> None:
    waits = " ".join(values(unit, "After") + values(unit, "Wants") + values(unit, "Requires"))

    assert "network-online.target" not in waits
    assert "time-sync.target" not in waits


def test_an_instance_is_the_gateway_with_a_file_and_folders_of_its_own() -> None:
    def directives(name: str) -> set[str]:
        lines = (CHECKOUT / "systemd" / name).read_text(encoding="utf-8").splitlines()
        return {line for line in lines if line and not line.startswith("#")}

    own = directives("gateway@.service") - directives("gateway.service")

    assert own == {
        "Description=Edge gateway %i: sensors to Kafka",
        "Documentation=file:/etc/gateway/%i.toml",
        "Environment=GATEWAY_INSTANCE=%i",
        "ExecStart=/opt/gateway/bin/gatewayd --config /etc/gateway/%i.toml",
        "ExecReload=/opt/gateway/bin/gatewayctl reload --socket /run/gateway@%i/gatewayd.sock",
        "RuntimeDirectory=gateway@%i",
        "StateDirectory=gateway@%i",
    }
    assert len(directives("gateway@.service")) == len(directives("gateway.service")) + 1
