"""What every command of gatewayctl keeps to, those that are added later included."""

import argparse
import os
import re
import shlex
from typing import Final

import pytest

from gateway.cli.main import COMMANDS, main, parser
from gateway.cli.verbs import below
from gateway.terminal import coloured

WITHOUT_JSON: Final = {
    "completion": "prints a script for a shell",
    "capture": "what it writes is JSON, an object a line",
}


LEAVES: Final = {words: found for words, found in below(parser(COMMANDS)) if not found._subparsers}
every_command = pytest.mark.parametrize("words", LEAVES)


def examples(text: str) -> list[list[str]]:
    """The words after gatewayctl, of each call in the examples that end a help."""
    block = re.search(r"^examples?:((?:.*\n?)*)\Z", text, re.MULTILINE)
    assert block is not None, "a help ends with `example: gatewayctl ...`"
    calls = []
    for line in filter(None, (line.strip() for line in block[1].splitlines())):
        parts = shlex.split(line.replace("|", " | ").replace(">", " > "))
        assert "gatewayctl" in parts, f"no example: {line}"
        while "gatewayctl" in parts:
            parts = parts[parts.index("gatewayctl") + 1 :]
            ends = [parts.index(one) for one in ("|", ">") if one in parts]
            calls.append(parts[: min(ends, default=len(parts))])
    return calls


def one_example(words: str) -> list[str]:
    """A call of this very command."""
    return next(
        call
        for call in examples(LEAVES[words].description or "")
        if call[: len(words.split())] == words.split()
    )


@every_command
def test_a_help_ends_with_examples_that_can_be_typed(words: str) -> None:
    for call in examples(LEAVES[words].description or ""):
        parser(call[:1]).parse_args(call)
    assert one_example(words)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_with_verbs_can_be_typed(name: str) -> None:
    chosen = parser([name])
    (commands,) = [one for one in chosen._actions if isinstance(one, argparse._SubParsersAction)]

    for call in examples(commands.choices[name].description):
        parser(call[:1]).parse_args(call)


@every_command
def test_a_help_tells_the_exit_codes(words: str) -> None:
    told = re.search(r"^Exit code: (0|as of `gatewayctl \w+`)", LEAVES[words].description or "", re.MULTILINE)

    assert told is not None


@every_command
def test_every_option_and_argument_is_explained(words: str) -> None:
    for action in LEAVES[words]._actions:
        assert action.help, action.dest
        assert action.help[0].islower() or not action.help[0].isalpha() or action.help[:2].isupper(), (
            f"{action.dest}: {action.help}: begins in lower case"
        )


@every_command
def test_what_a_command_prints_can_be_had_as_json(words: str) -> None:
    options = {name for action in LEAVES[words]._actions for name in action.option_strings}

    assert ("--json" in options) == (words not in WITHOUT_JSON)


@every_command
@pytest.mark.parametrize("wrong", ["--no-such-option", "--hel"])
def test_an_unknown_or_shortened_option_is_refused(
    words: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*one_example(words), wrong])

    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1].startswith("gatewayctl")
    assert told.err.splitlines()[-1].endswith(f"error: unrecognized arguments: {wrong}")


@every_command
def test_a_narrow_terminal_gets_its_help_too(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "--help"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: gatewayctl")


def test_an_unknown_command_is_told_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["stat"])

    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert all(name in told for name in COMMANDS)


def test_colours_are_for_terminals_that_have_them_and_people_who_want_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = os.openpty()
    reading, writing = os.pipe()
    with open(theirs, "w") as terminal, open(writing, "w") as pipe, open(reading):  # noqa: PTH123 - descriptors
        assert coloured(terminal)
        assert not coloured(pipe)
        monkeypatch.setenv("NO_COLOR", "1")
        assert not coloured(terminal)
        monkeypatch.setenv("NO_COLOR", "")
        monkeypatch.setenv("TERM", "dumb")
        assert not coloured(terminal)
    os.close(ours)
