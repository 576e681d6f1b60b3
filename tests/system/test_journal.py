"""A real journald, of its own for this test: what gatewayd logs comes out of it as it was, and gatewayctl finds it."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from gateway.journal import Entry, Journal, pack

JOURNALD = Path("/lib/systemd/systemd-journald")
COMMANDS = Path(sys.executable).parent


class Journald:
    """The journald of a namespace: a socket and a folder of its own, beside that of the machine."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.runtime = Path(f"/run/systemd/journal.{name}")
        self._process = subprocess.Popen([JOURNALD, name], stderr=subprocess.PIPE)
        try:
            wait_until((self.runtime / "socket").exists, "the socket of journald")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20)
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
        for folder in (
            self.runtime,
            *(Path(f"/{top}/log/journal/{machine}.{self.name}") for top in ("run", "var")),
        ):
            shutil.rmtree(folder, ignore_errors=True)

    def find(self, *matches: str) -> list[dict[str, Any]]:
        """The entries of programs that match."""
        asked = [
            "journalctl",
            f"--namespace={self.name}",
            "--output=json",
            "--all",
            "_TRANSPORT=journal",
            *matches,
        ]
        found = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20).stdout
        return [json.loads(line) for line in found.splitlines()]


@pytest.fixture(scope="module")
def journald() -> Iterator[Journald]:
    obstacle = ""
    if not JOURNALD.exists() or shutil.which("journalctl") is None:
        obstacle = "journald is not installed: sudo apt-get install systemd"
    elif os.geteuid() != 0:
        obstacle = "only root can start a journald"
    if obstacle:
        pytest.skip(obstacle)
    with contextlib.closing(Journald(f"gw{os.getpid()}")) as one:
        yield one


def test_journald_takes_what_is_sent_whole_and_under_its_names(journald: Journald) -> None:
    nasty = "a\nPRIORITY=0\n\0\x1b[31mMESSAGE=forged\n\n"
    large = "x" * 400_000
    sender = Journal("gatewayd", journald.runtime / "socket")
    fields = {"MESSAGE": "one", "EVENT": "test", "DEVICE": nasty, "PRIORITY": "4", "LARGE": large}
    sender.send(Entry(4, "one", pack(fields.items())))
    assert sender.drain(5)
    sender.close()

    wait_until(lambda: journald.find("EVENT=test"), "the entry")
    [found] = journald.find("EVENT=test")
    assert (found["MESSAGE"], found["PRIORITY"], found["LARGE"]) == ("one", "4", large)
    device = found["DEVICE"]  # as numbers, since journalctl takes it for binary
    assert (bytes(device).decode() if isinstance(device, list) else device) == nasty
    assert "forged" not in {one.get("MESSAGE") for one in journald.find()}


def test_gatewayd_finds_the_journal_by_itself_and_gatewayctl_finds_what_it_logs(
    journald: Journald, tmp_path: Path
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        f"""
[gateway]
id = "pi-7"
state_dir = "{tmp_path / "state"}"
[control]
socket = "{tmp_path / "d.sock"}"
[kafka]
bootstrap_servers = "127.0.0.1:1"
[sources.line-1]
kind = "serial"
port = "/dev/serial/by-id/absent"
"""
    )
    # In a mount namespace of its own, where this journald is the one of the machine.
    (tmp_path / "run" / "journal").mkdir(parents=True)
    script = (
        f"mount --bind {journald.runtime} {tmp_path}/run/journal && mount --rbind {tmp_path}/run /run/systemd && "
        f"exec {COMMANDS}/gatewayd --config {config}"
    )
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(journald.runtime / "stdout"))
        stream.sendall(b"gatewayd\ngateway.service\n6\n1\n0\n0\n0\n")  # what systemd says first
        its = os.fstat(stream.fileno())
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script],
            stderr=stream.fileno(),
            env={**os.environ, "JOURNAL_STREAM": f"{its.st_dev}:{its.st_ino}"},
        )
        try:
            wait_until(
                lambda: journald.find("EVENT=source lost") and journald.find("EVENT=started"),
                "its events",
                30,
            )
        finally:
            process.kill()
            process.wait()

    # A unit is known to systemd only: all the rest of what gatewayctl asks for is asked of this journald.
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    real = shutil.which("journalctl")
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --unit=gateway.service ] || exit 9\nshift\nexec {real} --namespace={journald.name} "$@"\n'
    )
    program.chmod(0o755)

    def listed(*words: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            [COMMANDS / "gatewayctl", "logs", "--json", *words],
            env={**os.environ, "PATH": f"{program.parent}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]

    lost = listed("--source", "line-1", "--event", "source lost", "--since", "10m", "--priority", "warning")
    assert [(one["SOURCE"], one["PRIORITY"], one["SYSLOG_IDENTIFIER"]) for one in lost] == [
        ("line-1", "4", "gatewayd")
    ]
    assert lost[0]["PROBLEM"].startswith("no such port /dev/serial/by-id/absent")
    both = listed("--event", "started", "--event", "source lost")
    assert {one["EVENT"] for one in both} == {"started", "source lost"}
    assert listed("--event", "started", "--priority", "error") == []
