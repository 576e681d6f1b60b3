"""gatewayctl logs asks journalctl for what was asked for, without a shell in between, and says where there is no journal."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import logs
from gateway.cli.main import main
from gateway.journal import PRIORITY

# What can be an argument of a program at all: no NUL, no half surrogate pairs.
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)


def asked(*words: str) -> list[str]:
    parser = argparse.ArgumentParser()
    logs.add_arguments(parser)
    return logs.arguments(parser.parse_args(words))


@pytest.mark.parametrize(
    ("given_words", "arguments"),
    [
        ([], ["--lines=1000", "--pager-end"]),
        (["--json"], ["--lines=1000", "--output=json"]),
        (["--follow"], ["--follow"]),
        (["--follow", "--since", "30m"], ["--since=-30m", "--follow", "--no-tail"]),
        (["--since", "1.5h"], ["--since=-1.5h"]),
        (["--since", "2026-11-27 06:00"], ["--since=2026-11-27 06:00"]),
        (["--since", "today", "--priority", "warning"], ["--priority=4", "--since=today"]),
        (
            ["--since=2d", "--sensor=t", "--source=a", "--source=b", "--event=source lost", "--device=x"],
            ["--since=-2d", "SOURCE=a", "SOURCE=b", "DEVICE=x", "SENSOR=t", "EVENT=source lost"],
        ),
    ],
)
def test_each_option_is_what_journalctl_calls_so(given_words: list[str], arguments: list[str]) -> None:
    assert asked(*given_words) == ["--unit=gateway.service", *arguments]
    assert asked(*given_words, "--detect") == ["--unit=gateway-detect.service", *arguments]


@pytest.mark.parametrize("name", PRIORITY)
def test_every_level_that_is_logged_can_be_asked_for(name: str) -> None:
    assert f"--priority={PRIORITY[name]}" in asked("--priority", name)


@given(source=words, since=words.filter(str.strip))
def test_nothing_a_person_gives_is_an_option_or_another_match(source: str, since: str) -> None:
    _, given_since, match = asked(f"--source={source}", f"--since={since}")

    assert match == f"SOURCE={source}"
    assert given_since in {f"--since={since}", f"--since=-{since}"}


@pytest.mark.parametrize(
    "wrong", [["--source", ""], ["--since", " "], ["--priority", "loud"], ["--event", ""]]
)
def test_what_cannot_be_meant_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["logs", *wrong])

    assert ended.value.code == 2
    assert f"argument {wrong[0]}: " in capsys.readouterr().err


@pytest.fixture
def journalctl(tmp_path: Path) -> Path:
    """A journalctl that writes down what it was asked for, and ends with 7."""
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv))\nsys.exit(7)\n", encoding="utf-8"
    )
    program.chmod(0o755)
    return program


def test_it_becomes_journalctl_with_its_exit_code_and_no_shell_reads_the_names(
    journalctl: Path, tmp_path: Path
) -> None:
    code = "import sys, pathlib; from gateway.cli import logs, main; logs.FOLDERS = (pathlib.Path.cwd() / 'kept',); main.main(sys.argv[1:])"
    name = "a; echo $(b) '\"\n*"
    (tmp_path / "kept" / "machine").mkdir(parents=True)
    (tmp_path / "kept" / "machine" / "system.journal").touch()
    done = subprocess.run(
        [sys.executable, "-c", code, "logs", "--device", name, "--follow"],
        env={**os.environ, "PATH": str(journalctl.parent)},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert (done.returncode, done.stderr) == (7, "")
    assert json.loads(done.stdout)[1:] == ["--unit=gateway.service", "--follow", f"DEVICE={name}"]


def test_where_there_is_no_journal_it_says_where_the_log_is(
    journalctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "FOLDERS", (tmp_path / "run", tmp_path / "var"))
    monkeypatch.setenv("PATH", str(journalctl.parent))
    (tmp_path / "var" / "machine").mkdir(parents=True)  # as after a boot without journald
    assert main(["logs"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        f"gatewayctl logs: no journal is kept: there is none in {tmp_path}/run nor in {tmp_path}/var"
    )
    assert "on their stderr" in said

    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["logs"]) == 2
    assert capsys.readouterr().err.startswith("gatewayctl logs: journalctl is not installed; where systemd")


def test_the_help_has_an_example_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["logs", "--help"])

    said = capsys.readouterr().out
    assert "gatewayctl logs --source boiler-room" in said
    assert "Exit code: 0" in said
