"""What TAB offers, in the shells themselves."""

from pathlib import Path

import pytest
from completing import completed

from gateway.cli.completion import PROGRAMS, SHELLS, script
from gateway.cli.main import COMMANDS, main


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    for shell in SHELLS:
        for program in PROGRAMS:
            (folder / f"{program}.{shell}").write_text(script(shell, program), encoding="utf-8")
    return folder


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_verbs_options_values_and_files(
    shell: str, scripts: Path, tmp_path: Path
) -> None:
    (tmp_path / "boiler.toml").touch()
    (tmp_path / "boilers").mkdir()

    def offered(*words: str) -> list[str]:
        return completed(shell, scripts / f"{words[0]}.{shell}", *words, folder=tmp_path)

    assert offered("gatewayctl", "st") == ["status"]
    assert set(offered("gatewayctl", "")) >= set(COMMANDS)
    assert offered("gatewayctl", "config", "") == ["check", "diff", "schema", "show"]
    assert offered("gatewayctl", "config", "show", "--j") == ["--json"]
    assert offered("gatewayctl", "simulate", "--format", "") == ["json", "keyvalue"]
    assert offered("gatewayctl", "completion", "f") == ["fish"]
    for words in (["config", "check"], ["spool", "--config"], ["status", "--socket"]):
        names = {one.removesuffix("/") for one in offered("gatewayctl", *words, "boi")}
        assert names == {"boiler.toml", "boilers"}, words
    assert offered("gateway-detect", "ba") == ["backtest"]
    assert offered("gateway-detect", "backtest", "--pl") == ["--plot"]
    assert offered("gatewayd", "--ch") == ["--check"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_what_the_shell_reads(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell, "gatewayd"]) == 0

    assert capsys.readouterr().out == script(shell, "gatewayd")
