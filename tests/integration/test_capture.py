"""gatewayctl capture on a running gatewayd: what it records, and that nobody who records holds up the daemon."""

import json
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import COMMANDS, Daemon
from mosquitto import HOST, Mosquitto
from pty_port import SerialLine
from waiting import wait_until

from gateway import capture
from gateway.cli.main import main

NO_KAFKA = "127.0.0.1:1"  # readings stay in the spool
SIMULATOR = '[sources.sim]\nkind = "simulator"\n'


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as one:
        yield one


def serial(line: SerialLine, name: str = "line") -> str:
    return f'[sources.{name}]\nkind = "serial"\nport = "{line.name}"\n'


@pytest.fixture
def daemon(tmp_path: Path, line: SerialLine) -> Iterator[Daemon]:
    with Daemon(tmp_path / "gw", NO_KAFKA, serial(line) + SIMULATOR) as one:
        wait_until(lambda: one.state("line") == "connected", "the port")
        yield one


class Capture:
    """gatewayctl capture as a process, recording into a file."""

    def __init__(self, file: Path, *words: object) -> None:
        self.file = file
        self._process = subprocess.Popen(
            [COMMANDS / "gatewayctl", "capture", *map(str, words), file],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lines(self) -> list[Any]:
        """The lines of the file so far."""
        text = self.file.read_text() if self.file.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def begun(self) -> "Capture":
        """Wait until it records."""
        wait_until(lambda: self.lines() or self._process.poll() is not None, "the header of the capture")
        return self

    def received(self) -> int:
        """Bytes in the file so far."""
        pieces = [capture.decode(json.dumps(line).encode()) for line in self.lines()]
        return sum(len(piece.data) for piece in pieces if piece)

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Ctrl-C; the exit code and what it said."""
        self._process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """The exit code and what it said, once it has ended."""
        _, said = self._process.communicate(timeout=20)
        return self._process.returncode, said


def payloads(daemon: Daemon, source: str) -> dict[str, int]:
    found: dict[str, int] = daemon.ledger(source)["payloads"]
    return found


def test_a_serial_line_is_captured_while_the_daemon_reads_it_and_decoded_alike(
    tmp_path: Path, daemon: Daemon, line: SerialLine, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = Capture(tmp_path / "c", "--socket", daemon.socket, "line").begun()
    line.write(b"t=21.5\nh=40\n# nothing\n%%%\nhal")
    wait_until(lambda: recorded.received() == 29, "the first lines")
    line.hang_up()
    line.plug_in()
    wait_until(lambda: [one.get("event") for one in recorded.lines()].count("opened") == 2, "the port again")
    line.write(b"t=22\n")
    wait_until(lambda: recorded.received() == 34, "the last line")
    wait_until(lambda: payloads(daemon, "line")["received"] == 6, "the readings")

    code, said = recorded.end()
    assert (code, said) == (0, "34 bytes in 2 pieces, no gaps\n")
    assert stat.S_IMODE(recorded.file.stat().st_mode) == 0o600
    head, opened, first, lost, *_ = recorded.lines()
    assert (head["capture"], head["gateway"], head["source"], head["kind"]) == (1, "pi-7", "line", "serial")
    assert head["settings"] == {"port": str(line.name)}
    assert (opened["event"], lost["event"]) == ("opened", "lost")
    assert first["text"] == "t=21.5\nh=40\n# nothing\n%%%\nhal"
    assert 0 <= time.time_ns() - first["time"] < 60e9

    assert main(["decode", str(recorded.file)]) == 1
    out, err = capsys.readouterr()
    assert [text.split("\t")[1] for text in out.splitlines() if not text.startswith("!")] == ["t", "h", "t"]
    assert [text.split("\t")[2] for text in out.splitlines() if text.startswith("!")] == ["%%%", "hal"]
    assert err == "6 payloads = 3 decoded + 1 ignored + 2 rejected; 3 readings\n"
    assert payloads(daemon, "line") == {"received": 6, "decoded": 3, "ignored": 1, "dead_lettered": 2}


def test_messages_are_captured_with_their_topics_and_acknowledged_as_ever(
    tmp_path: Path, broker: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    table = f'[sources.plant]\nkind = "mqtt"\nbroker = "{HOST}"\nport = {broker.port}\nusername = "u"\npassword = "hunter2"\n'
    with Daemon(tmp_path / "gw", NO_KAFKA, table + 'topics = ["plant/{device}/{sensor}"]\n') as daemon:
        wait_until(lambda: daemon.state("plant") == "connected", "the broker")
        recorded = Capture(tmp_path / "c", "--socket", daemon.socket, "plant").begun()
        broker.publish("plant/b7/t", "21.5", b"\xff\x00")
        wait_until(lambda: payloads(daemon, "plant")["received"] == 2, "the messages")
        wait_until(lambda: recorded.received() == 6, "the capture")
        code, _ = recorded.end()

    assert code == 0
    assert [
        (one.get("topic"), one.get("qos"), one.get("text"), one.get("hex")) for one in recorded.lines()[2:]
    ] == [
        ("plant/b7/t", 1, "21.5", None),
        ("plant/b7/t", 1, None, "ff00"),
    ]
    assert "hunter2" not in recorded.file.read_text()
    capsys.readouterr()  # what the publisher's client had to say
    assert main(["decode", str(recorded.file)]) == 1
    assert capsys.readouterr().out.split("\t")[:2] == ["b7", "t"]


def test_a_reader_who_stands_still_holds_up_nobody_and_gets_a_gap(daemon: Daemon, line: SerialLine) -> None:
    row = b"# " + b"x" * 997 + b"\n"
    with socket.socket(socket.AF_UNIX) as reader:
        reader.connect(str(daemon.socket))
        reader.sendall(b'{"verb": "capture", "source": "line"}\n')
        wait_until(lambda: daemon.events("capture begins"), "the capture")
        for _ in range(4000):
            line.write(row)
        wait_until(
            lambda: payloads(daemon, "line")["received"] == 4000, "all lines, though nobody takes the capture"
        )

        reader.settimeout(10)
        received = b""
        while b'"gap"' not in received:
            received += reader.recv(65_536)
        while not received.endswith(b"\n"):
            received += reader.recv(65_536)
        line.write(b"t=1\n")
        while b"t=1" not in received:
            received += reader.recv(65_536)
        gap = next(one for one in received.splitlines() if b'"gap"' in one)
    pieces = [capture.decode(one) for one in received.splitlines()]
    there = sum(len(piece.data) for piece in pieces if piece)
    assert there + json.loads(gap)["missing"] == 4000 * len(row) + 4
    assert json.loads(gap)["missing"] > 1_000_000
    wait_until(lambda: daemon.events("capture ended"), "the end of the tap")


def test_the_end_of_the_daemon_ends_the_capture_with_all_there_is(
    tmp_path: Path, daemon: Daemon, line: SerialLine
) -> None:
    recorded = Capture(tmp_path / "c", "--socket", daemon.socket, "line").begun()
    line.write(b"t=1\n")
    wait_until(lambda: recorded.received() == 4, "the line")
    daemon.kill()

    assert recorded.ended() == (1, "gatewayd ended, and the capture with it\n4 bytes in 1 pieces, no gaps\n")
    assert recorded.lines()[-1]["text"] == "t=1\n"


def test_it_ends_by_itself_where_it_was_told_to(tmp_path: Path, daemon: Daemon, line: SerialLine) -> None:
    by_time = Capture(tmp_path / "time", "--for", "0.2s", "--socket", daemon.socket, "line").begun()
    assert by_time.ended()[0] == 0

    by_bytes = Capture(tmp_path / "bytes", "--bytes", "5", "--socket", daemon.socket, "line").begun()
    line.write(b"t=1\n")
    wait_until(lambda: by_bytes.received() == 4, "less than that")
    line.write(b"t=2\n")
    assert by_bytes.ended() == (0, "8 bytes in 2 pieces, no gaps\n")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("lime", "there is no source 'lime'; there are: line, sim"),
        ("sim", "source sim makes readings of its own: there are no raw bytes to capture"),
    ],
)
def test_what_cannot_be_captured_is_refused_and_leaves_no_file(
    tmp_path: Path, daemon: Daemon, source: str, problem: str
) -> None:
    refused = Capture(tmp_path / "c", "--socket", daemon.socket, source)

    assert refused.ended() == (2, f"{problem}\n")
    assert not refused.file.exists()


def test_a_second_capture_of_a_source_is_refused_and_the_first_one_goes_on(
    tmp_path: Path, daemon: Daemon, line: SerialLine
) -> None:
    first = Capture(tmp_path / "a", "--socket", daemon.socket, "line").begun()
    second = Capture(tmp_path / "b", "--socket", daemon.socket, "line")
    assert second.ended() == (2, "source line is being captured already; end that first\n")

    line.write(b"t=1\n")
    wait_until(lambda: first.received() == 4, "the line")
    assert first.end(signal.SIGTERM)[0] == 0
    again = Capture(tmp_path / "c", "--socket", daemon.socket, "line").begun()
    assert again.end()[0] == 0


def test_a_file_that_exists_is_kept_unless_forced_and_then_private(tmp_path: Path, daemon: Daemon) -> None:
    file = tmp_path / "c"
    file.write_text("precious")
    file.chmod(0o644)

    code, said = Capture(file, "--socket", daemon.socket, "line").ended()
    assert (code, file.read_text()) == (2, "precious")
    assert said == f"{file} exists: name another file, or replace it with --force\n"

    forced = Capture(file, "--force", "--for", "0.1s", "--socket", daemon.socket, "line")
    assert forced.ended()[0] == 0
    assert forced.lines()[0]["source"] == "line"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_full_disk_ends_it_with_a_sentence(daemon: Daemon) -> None:
    full = Capture(Path("/dev/full"), "--force", "--socket", daemon.socket, "line")

    code, said = full.ended()
    assert code == 1
    assert said.startswith(
        "/dev/full cannot be written: No space left on device; what was written before is whole\n"
    )


def test_without_a_daemon_the_port_is_opened_here(tmp_path: Path, line: SerialLine) -> None:
    config = tmp_path / "gateway.toml"
    broker = 'broker = "127.0.0.1"\ntopics = ["a"]\n'
    config.write_text(serial(line) + SIMULATOR + f'[sources.plant]\nkind = "mqtt"\n{broker}')
    recorded = Capture(tmp_path / "c", "--config", config, "line").begun()
    line.write(b"t=1\n")
    wait_until(lambda: recorded.received() == 4, "the line")
    line.hang_up()
    line.plug_in()
    wait_until(lambda: [one.get("event") for one in recorded.lines()].count("opened") == 2, "the port again")
    assert recorded.end()[0] == 0
    assert recorded.lines()[-1]["reason"] == "the gateway stopped reading"

    for name, problem in (
        ("plant", "what is taken here would be taken from the gateway"),
        ("sim", "there are no raw bytes to capture"),
        ("lime", "allowed: line, sim, plant"),
    ):
        code, said = Capture(tmp_path / name, "--config", config, name).ended()
        assert code == 2
        assert problem in said
        assert not (tmp_path / name).exists()
    line.hang_up()
    code, said = Capture(tmp_path / "gone", "--config", config, "line").ended()
    assert code == 2
    assert "no such port" in said


def test_nobody_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    code, said = Capture(tmp_path / "c", "--socket", tmp_path / "nobody.sock", "line").ended()

    assert code == 2
    assert "is it running? `systemctl status gateway`" in said
