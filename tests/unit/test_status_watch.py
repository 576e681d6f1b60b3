"""`gatewayctl status --watch`, as a process: on a real pseudo-terminal, and through a pipe."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from answering import answering
from reported import report, source
from waiting import wait_until

from gateway.control_server import Verb

COMMAND = (str(Path(sys.executable).parent / "gatewayctl"), "status", "--watch", "0.2", "--socket")
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?7h\x1b[?25h\x1b[?1049l"
SHELL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
job = os.fork()
if not job:
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    os.execv(sys.argv[1], sys.argv[1:])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]))
"""


def answers(*sources: dict[str, Any]) -> dict[str, Verb]:
    return {"status": Verb("everybody", lambda _: report(*sources))}


class Terminal:
    """A terminal, in it something like a shell, and the command as its job in the foreground."""

    def __init__(self, path: Path, *, columns: int = 60, lines: int = 20) -> None:
        self.said = b""
        self._own, other = pty.openpty()
        self._size = (lines, columns)
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-ISc", SHELL, *COMMAND, path],
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)

    def resize(self, columns: int, lines: int) -> None:
        """Make the window another size; the kernel tells the command."""
        self._size = (lines, columns)
        fcntl.ioctl(self._own, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """What a person types."""
        os.write(self._own, keys)

    def kill(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.killpg(os.tcgetpgrp(self._own), number)

    def hear(self) -> bytes:
        """All that was written to it so far."""
        while select.select([self._own], [], [], 0)[0]:
            try:
                part = os.read(self._own, 65_536)
            except OSError:  # the command has ended
                break
            self.said += part
        return self.said

    def pictures(self) -> list[list[str]]:
        """All whole ones so far, line by line, each as wide as its window was."""
        pictures = self.hear().replace(b"\r\r\n", b"\r\n").decode().split("\x1b[H")[1:]
        return [
            [
                line.removesuffix("\x1b[K")
                for line in re.sub("\x1b\\[\\d*m", "", one).split("\x1b[J")[0].split("\r\n")
            ]
            for one in pictures
            if "\x1b[J" in one
        ]

    def shows(self, condition: Callable[[list[str]], bool], what: str) -> list[str]:
        """The next picture that fits `condition`."""
        seen = len(self.pictures())
        return (
            wait_until(lambda: next((one for one in self.pictures()[seen:] if condition(one)), None), what)
            or []
        )

    def close(self) -> None:
        """Whatever became of it."""
        if self.process.poll() is None:
            self.kill(signal.SIGKILL)
        self.process.wait()
        os.close(self._own)


@contextmanager
def terminal(path: Path, **size: int) -> Iterator[Terminal]:
    made = Terminal(path, **size)
    try:
        yield made
    finally:
        made.close()


def test_it_is_drawn_in_place_within_the_window_and_follows_its_size(tmp_path: Path) -> None:
    sources = [
        source(f"line-{number}", state="lost" if number == 30 else "connected") for number in range(40)
    ]
    with answering(tmp_path / "sock", answers(*sources)) as here, terminal(here.path) as one:
        picture = one.shows(lambda _: True, "a picture")
        assert len(picture) == 20
        assert max(map(len, picture)) <= 60
        assert next(line for line in picture if line.startswith("line-")).startswith("line-30")
        assert any(re.fullmatch(r"and \d+ more healthy", line) for line in picture)
        assert picture[-1].endswith("every 0.2 s, Ctrl-C ends it")

        one.resize(30, 9)
        small = one.shows(lambda picture: len(picture) == 9, "a smaller picture")
        assert max(map(len, small)) <= 30

        said = one.hear()
        assert said.startswith(ENTER)
        assert b"\x1b[2J" not in said  # nothing is wiped before it is drawn: that would flicker
        assert b"\n" not in said.split(b"\x1b[J")[-1]


@pytest.mark.parametrize("how", ["Ctrl-C", signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_as_it_was_afterwards(how: str | signal.Signals, tmp_path: Path) -> None:
    with answering(tmp_path / "sock", answers(source("line"))) as here, terminal(here.path) as one:
        one.shows(lambda _: True, "a picture")
        if isinstance(how, str):
            one.type(b"\x03")
        else:
            one.kill(how)
        assert one.process.wait(10) == 0
        assert one.hear().endswith(LEAVE)


def test_the_terminal_is_as_it_was_while_it_is_suspended(tmp_path: Path) -> None:
    with answering(tmp_path / "sock", answers(source("line"))) as here, terminal(here.path) as one:
        one.shows(lambda _: True, "a picture")
        one.type(b"\x1a")
        wait_until(lambda: one.hear().endswith(LEAVE), "the terminal to be given back")
        one.kill(signal.SIGCONT)
        one.shows(lambda _: True, "a picture again")
        assert one.hear().count(ENTER) == 2


def test_it_goes_on_while_gatewayd_is_away(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with terminal(path, columns=200) as one:
        one.shows(lambda picture: picture[0].startswith("down: no gatewayd at"), "that nobody is there")
        for _ in range(2):
            with answering(path, answers(source("line"))):
                one.shows(lambda picture: picture[0].startswith("healthy   gateway pi-7"), "that it is there")
            one.shows(lambda picture: picture[0].startswith("down: "), "that it is away again")
        assert one.process.poll() is None


def piped(words: Sequence[str], enough: Callable[[str], bool]) -> tuple[str, int]:
    """What comes through a pipe until it is enough; then SIGTERM."""
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    said, deadline = "", time.monotonic() + 10
    while not enough(said):
        assert time.monotonic() < deadline, said
        said += process.stdout.readline()
    process.terminate()
    with process.stdout:
        said += process.stdout.read()
    return said, process.wait(10)


def test_through_a_pipe_one_block_follows_the_other(tmp_path: Path) -> None:
    with answering(tmp_path / "sock", answers(source("line"))) as here:
        said, code = piped([str(here.path)], lambda said: said.count("LEDGER") > 1)

    assert code == 0
    assert said.count("\n\n\n") == 0
    assert said.split("\n\nhealthy   gateway")[0].startswith("healthy   gateway")
    assert "\x1b" not in said


def test_as_json_it_is_one_object_a_line_also_while_gatewayd_is_away(tmp_path: Path) -> None:
    with answering(tmp_path / "sock", answers(source("line"))) as here:
        said, code = piped([str(here.path), "--json"], lambda said: said.count("\n") > 1)
    away, code_away = piped([str(tmp_path / "sock"), "--json"], lambda said: said.count("\n") > 1)

    assert (code, code_away) == (0, 0)
    assert {json.loads(line)["health"] for line in said.splitlines()} == {"healthy"}
    assert {json.loads(line)["health"] for line in away.splitlines()} == {"down"}


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "x", "1e9"])
def test_only_sensible_lengths_are_taken(seconds: str) -> None:
    command = [COMMAND[0], "status", f"--watch={seconds}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "must be seconds, from 0.2 to 3600" in done.stderr
