"""What a kill, an outage and a restart cost: nothing that was safe, and nothing twice."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from kafka import KafkaServer
from pty_port import SerialLine
from waiting import wait_until

from gateway import wire

SETTINGS = "[spool]\nspill_after = 0.0\n"
"""Every batch is written before it is sent, so that a kill can cost no more than the batch being collected."""


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as one:
        yield one


def source(line: SerialLine) -> str:
    return f'[sources.line]\nkind = "serial"\nport = "{line.name}"\n'


def say(line: SerialLine, first: int, end: int) -> None:
    for start in range(first, end, 50):
        line.write("".join(f"count={n}\n" for n in range(start, min(start + 50, end))).encode())


def values(server: KafkaServer) -> list[object]:
    return [wire.decode_reading(record.value() or b"").value for record in server.read_all("readings")]


def test_what_was_spooled_in_an_outage_survives_kill_9_and_arrives_once_and_in_order(
    tmp_path: Path, own_kafka: KafkaServer, line: SerialLine
) -> None:
    daemon = Daemon(tmp_path / "gw", own_kafka.bootstrap, source(line), SETTINGS)
    with daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        say(line, 0, 500)
        wait_until(lambda: daemon.delivered("line") == 500, "what was said before")
        own_kafka.stop()
        say(line, 500, 2000)
        wait_until(lambda: daemon.ledger("line")["readings"]["spooled"] >= 1500, "the readings to be on disk")
        daemon.kill()
    own_kafka.start()
    with daemon:
        wait_until(lambda: len(values(own_kafka)) >= 2000, "the rest", 60)
        assert daemon.ledger("line")["readings"]["spooled"] == 0
        assert daemon.status()["ledger"]["unclean_stops"] == 1
        daemon.stop()

    assert values(own_kafka) == list(range(2000))


@pytest.mark.timeout(240)
def test_kills_at_any_moment_while_data_flows_repeat_and_reorder_nothing(
    tmp_path: Path, own_kafka: KafkaServer, line: SerialLine
) -> None:
    daemon = Daemon(tmp_path / "gw", own_kafka.bootstrap, source(line), SETTINGS)
    said = 0
    for moment in (0.05, 0.2, 0.4, 0.7):
        with daemon:
            wait_until(lambda: daemon.state("line") == "connected", "the port")
            writer = threading.Thread(target=say, args=(line, said, said + 2000))
            writer.start()
            said += 2000
            wait_until(lambda: daemon.ledger("line")["readings"]["made"], "data to flow")
            threading.Event().wait(moment)
            daemon.kill()
            writer.join()
    with daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        say(line, said, said + 100)
        wait_until(lambda: said + 99 in values(own_kafka), "the end of it", 60)
        daemon.stop()

    found = values(own_kafka)
    assert len(found) == len(set(found)), "repeated"
    assert found == sorted(found, key=float), "reordered"  # type: ignore[arg-type]
    print(f"\n4 kills: {said + 100 - len(found)} of {said + 100} lines were neither safe nor asked for again")


def test_an_orderly_stop_without_kafka_keeps_what_it_holds(
    tmp_path: Path, own_kafka: KafkaServer, line: SerialLine
) -> None:
    daemon = Daemon(tmp_path / "gw", own_kafka.bootstrap, source(line))
    with daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        say(line, 0, 100)
        wait_until(lambda: daemon.delivered("line") == 100, "what was said before")
        own_kafka.stop()
        say(line, 100, 300)
        wait_until(lambda: daemon.ledger("line")["readings"]["made"] == 300, "the readings to be taken")
        daemon.stop(30)
    own_kafka.start()
    with daemon:
        wait_until(lambda: len(values(own_kafka)) >= 300, "the rest", 60)
        daemon.stop()

    assert values(own_kafka) == list(range(300))


def test_while_kafka_answers_nothing_is_written_to_the_spool(
    tmp_path: Path, own_kafka: KafkaServer, line: SerialLine
) -> None:
    folder = tmp_path / "gw" / "state" / "spool"

    def on_disk() -> dict[str, tuple[int, int]]:
        return {
            path.name: (path.stat().st_size, path.stat().st_mtime_ns)
            for path in folder.iterdir()
            if path.is_file()
        }

    # Ten seconds, so that a busy machine on which a commit takes two is not taken for a Kafka that does not answer.
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, source(line), "[spool]\nspill_after = 10\n") as daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        say(line, 0, 50)
        wait_until(lambda: daemon.delivered("line") == 50, "the first delivery", 60)
        # What waited for the very first answer of Kafka may have been written, and is deleted when all is quiet.
        wait_until(lambda: not daemon.status()["spool"]["segments"], "a tidy spool", 30)
        before = on_disk()
        for start in range(50, 3050, 100):
            say(line, start, start + 100)
            wait_until(lambda n=start + 100: daemon.delivered("line") >= n, "the delivery")  # type: ignore[misc]
        assert on_disk() == before
        daemon.stop()
