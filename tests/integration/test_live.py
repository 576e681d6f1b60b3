"""What a person sees of a real gatewayd that runs without Kafka: sources, and readings as they come in."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import COMMANDS, Daemon
from pty_port import SerialLine
from waiting import wait_until

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as one:
        yield one


def gatewayctl(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(COMMANDS / "gatewayctl"), *words, "--socket", str(daemon.socket)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_readings_are_seen_as_they_come_in_and_sources_tell_where_they_come_from(
    tmp_path: Path, line: SerialLine
) -> None:
    source = f'[sources.line]\nkind = "serial"\nport = "{line.name}"\n[sources.idle]\nkind = "simulator"\ninterval = 3600\n'
    with Daemon(tmp_path / "gw", NOWHERE, source) as daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        command = ["tail", "line", "-n", "2", "--sensor", "t*", "--socket", str(daemon.socket)]
        with subprocess.Popen(
            [str(COMMANDS / "gatewayctl"), *command], stdout=subprocess.PIPE, text=True
        ) as tail:
            # What comes before it listens is not for it, hence again and again.
            wait_until(
                lambda: line.offer(b"t=21.5 h=40\n") and tail.poll() is not None, "two readings to be shown"
            )
            assert tail.stdout
            shown = tail.stdout.read()
        assert tail.returncode == 0
        assert [row.split("  ", 1)[1] for row in shown.splitlines()] == ["line  line  t  21.5"] * 2

        done = gatewayctl(daemon, "sources", "line", "--json")
        found = json.loads(done.stdout)
        assert (done.returncode, found["where"], found["problems"]) == (0, str(line.name), [])
        assert found["settings"] == {"kind": "serial", "port": str(line.name)}
        assert found["last_trouble_age_s"] is None

        line.hang_up()
        wait_until(lambda: daemon.state("line") == "lost", "the loss")
        done = gatewayctl(daemon, "sources", "line")
        assert done.returncode == 1
        assert "  - is lost: " in done.stdout
        assert " ago: " in next(row for row in done.stdout.splitlines() if row.startswith("last trouble"))
