"""A gateway that starts with a clock in 2019, as a Raspberry Pi without a network does."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from kafka import KafkaServer
from pty_port import SerialLine
from waiting import wait_until

from gateway import wire

CLOCKWORK = Path(__file__).parents[1] / "support" / "clockwork.py"
SECOND = 1_000_000_000
SEVEN_YEARS = 7 * 365 * 86_400 * SECOND
SETTINGS = "[spool]\nspill_after = 0\n"


class Gateway:
    """gatewayd over a serial line, with a clock that is wrong at first."""

    def __init__(self, folder: Path, bootstrap: str, line: SerialLine) -> None:
        source = f'[sources.line]\nkind = "serial"\nport = "{line.name}"\n'
        self.daemon = Daemon(folder / "gw", bootstrap, source, SETTINGS)
        settings = self.daemon.config.read_text()
        self.daemon.config.write_text(settings.replace("trusted = true", "trusted = false"))
        self.clock = folder / "clock"
        self.clock.write_text(str(-SEVEN_YEARS))
        self.daemon.prefix = [sys.executable, str(CLOCKWORK), str(self.clock)]
        self._line = line
        self.said: dict[int, int] = {}

    def say(self, first: int, end: int) -> None:
        """Lines with these numbers, noting the true time of each."""
        wait_until(lambda: self.daemon.state("line") == "connected", "the port")
        for n in range(first, end):
            self.said[n] = time.time_ns()
            self._line.write(f"count={n}\n".encode())


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as one:
        yield one


def readings(server: KafkaServer) -> dict[int, wire.Reading]:
    found = [wire.decode_reading(record.value() or b"") for record in server.read_all("readings")]
    return {int(str(reading.value)): reading for reading in found}


def made(daemon: Daemon) -> int:
    return int(daemon.ledger("line")["readings"]["made"])


def test_what_was_unsent_when_the_clock_was_set_arrives_with_true_times_even_over_a_restart(
    tmp_path: Path, own_kafka: KafkaServer, line: SerialLine
) -> None:
    own_kafka.stop()
    gateway = Gateway(tmp_path, own_kafka.bootstrap, line)
    daemon = gateway.daemon
    with daemon:
        gateway.say(0, 20)
        wait_until(lambda: daemon.ledger("line")["readings"]["spooled"] == 20, "the first on disk")
        assert any("clock" in reason for reason in daemon.status()["reasons"])
        daemon.kill()
    with daemon:
        gateway.say(20, 40)
        wait_until(lambda: made(daemon) == 40, "the second to be taken")
        gateway.clock.write_text("right")
        wait_until(lambda: daemon.status()["clock"]["synchronised"], "the clock to be believed")
        gateway.say(40, 60)
        own_kafka.start()
        wait_until(lambda: daemon.delivered("line") == 60, "all of it", 60)
        daemon.stop()

    found = readings(own_kafka)
    assert set(found) == set(range(60))
    for n, reading in found.items():
        assert abs(reading.received - gateway.said[n]) < 20 * SECOND, "years, if it were not corrected"
        assert reading.time == reading.received
        assert reading.flags == (("clock_corrected",) if n < 40 else ())


def test_what_was_sent_before_the_clock_was_set_says_so(
    tmp_path: Path, own_kafka: KafkaServer, line: SerialLine
) -> None:
    gateway = Gateway(tmp_path, own_kafka.bootstrap, line)
    daemon = gateway.daemon
    with daemon:
        gateway.say(0, 20)
        wait_until(lambda: daemon.delivered("line") == 20, "the first", 60)
        gateway.clock.write_text("right")
        wait_until(lambda: daemon.status()["clock"]["synchronised"], "the clock to be believed")
        gateway.say(20, 40)
        wait_until(lambda: daemon.delivered("line") == 40, "the rest", 60)
        daemon.stop()

    for n, reading in readings(own_kafka).items():
        assert reading.flags == (("clock_unset",) if n < 20 else ())
    now = time.time() * 1000
    for record in own_kafka.read_all("readings"):
        assert abs(record.timestamp()[1] - now) < 120_000, "the broker's own time"
