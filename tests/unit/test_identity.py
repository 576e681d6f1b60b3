from pathlib import Path

import pytest

from gateway.config import ConfigError, Gateway
from gateway.identity import gateway_id


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "serial-number"
    path.write_bytes(b"10000000abcdef01\0")
    return path


def test_a_board_names_its_gateway(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_INSTANCE", raising=False)

    assert gateway_id(Gateway(), board) == "10000000abcdef01"


def test_each_of_several_gateways_on_a_board_has_an_id_of_its_own(
    board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_INSTANCE", "line-2")

    assert gateway_id(Gateway(), board) == "10000000abcdef01-line-2"


def test_a_configured_id_is_taken_as_it_is(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_INSTANCE", "line-2")

    assert gateway_id(Gateway(id="boiler-house"), board) == "boiler-house"


@pytest.mark.parametrize("name", ["a b", "a/b", "ä", "x" * 81, "a\n"])
def test_an_instance_whose_name_cannot_be_part_of_an_id_is_refused(
    name: str, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_INSTANCE", name)

    with pytest.raises(ConfigError, match=r"GATEWAY_INSTANCE.*allowed.*gateway\.id"):
        gateway_id(Gateway(), board)
