import json
import os
import tomllib
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest

import devices
import gateway

CHECKOUT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_tests_run_over_the_installed_wheel() -> None:
    origin = json.loads(distribution("iot-edge-gateway").read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable") and not os.environ.get("CI"):
        pytest.skip("this environment has the checkout itself; `make test` tests the wheel")
    for package in (gateway, devices):
        assert package.__file__ is not None
        assert "site-packages" in Path(package.__file__).parts


def test_the_wheel_holds_every_source_file() -> None:
    installed = {str(file) for file in distribution("iot-edge-gateway").files or ()}
    if not any(name.startswith("gateway/") for name in installed):
        pytest.skip("this environment has the checkout itself; `make test` tests the wheel")
    sources = [path for folder in ("gateway", "devices") for path in (CHECKOUT / folder).rglob("*.*")]
    for path in sources:
        if path.suffix != ".pyc":
            assert str(path.relative_to(CHECKOUT)) in installed


def test_every_command_is_installed() -> None:
    commands = {point.name for point in entry_points(group="console_scripts")}

    assert set(PYPROJECT["project"]["scripts"]) <= commands


def test_the_wheel_carries_the_licence() -> None:
    assert distribution("iot-edge-gateway").metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in (CHECKOUT / "LICENSE").read_text(encoding="utf-8")
