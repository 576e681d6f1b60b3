"""A running gatewayd reads its configuration anew: on a real mosquitto, real pseudo-terminals and real Kafka."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from daemon import COMMANDS, Daemon
from detect_process import Bench
from fixtures_mqtt import StartBroker
from kafka import KafkaServer
from mock_kafka import mock_kafka
from mosquitto import Mosquitto
from pty_port import SerialLine
from waiting import wait_until

from gateway import wire

NOBODY = "127.0.0.1:1"
QUICK = 'delivery = "at-least-once"\ncreate_topics = false'
"""It is known within a second that nobody is there."""
SIMULATOR = '[sources.sim]\nkind = "simulator"\ninterval = 0.01\n'


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[list[SerialLine]]:
    with ExitStack() as stack:
        yield [stack.enter_context(SerialLine(tmp_path, f"line-{number}")) for number in range(3)]


@pytest.fixture
def broker(start_broker: StartBroker) -> Mosquitto:
    return start_broker("max_queued_messages 0")


def serial(line: SerialLine, more: str = "") -> str:
    return f'[sources.{line.name.name}]\nkind = "serial"\nport = "{line.name}"\n{more}\n'


def mqtt(broker: Mosquitto, *topics: str) -> str:
    return (
        f'[sources.plant]\nkind = "mqtt"\nbroker = "127.0.0.1"\nport = {broker.port}\n'
        f"topics = {[f'{topic}/{{device}}/{{sensor}}' for topic in topics]}\n"
    )


class Configured(Daemon):
    """A gatewayd whose sources are in a drop-in that a test writes anew."""

    def __init__(
        self, folder: Path, bootstrap: str, sources: str, topic: str = "readings", kafka: str = ""
    ) -> None:
        """`kafka` are further settings in its table."""
        super().__init__(folder, bootstrap, "", f'readings_topic = "{topic}"\n{kafka}\n')
        self.write(sources)

    def write(self, sources: str) -> None:
        """What is on disk from now on."""
        folder = self.config.with_name("conf.d")
        folder.mkdir(exist_ok=True)
        (folder / "50-sources.toml").write_text(sources)

    def reload(self, sources: str, code: int = 0) -> str:
        """The same, and `gatewayctl reload`; what it says."""
        self.write(sources)
        done = subprocess.run(
            [COMMANDS / "gatewayctl", "reload", "--socket", self.socket],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def source(self, name: str) -> dict[str, Any]:
        """Its row in the status."""
        return next(one for one in self.status()["sources"] if one["name"] == name)

    def connected(self, *names: str) -> None:
        """Wait until they are there and connected."""

        def are() -> bool:
            return {one["name"] for one in self.status()["sources"] if one["state"] == "connected"} >= {
                *names
            }

        wait_until(are, f"{', '.join(names)} to be connected")


class Load:
    """Numbered lines on a serial line and numbered messages at a broker, until it is left, or ended."""

    def __init__(self, line: SerialLine, broker: Mosquitto) -> None:
        self.written = self.published = 0
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(2)
        self._work = [self._pool.submit(self._write, line), self._pool.submit(self._publish, broker)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()

    def end(self) -> None:
        self._over.set()
        for work in self._work:
            work.result(30)

    def _write(self, line: SerialLine) -> None:
        while not self._over.wait(0.002):
            line.write(f"device=press count={self.written}\n".encode())
            self.written += 1

    def _publish(self, broker: Mosquitto) -> None:
        while not self._over.is_set():
            numbers = range(self.published, self.published + 20)
            broker.publish("plant/boiler/count", *map(str, numbers))
            self.published = numbers.stop


def values(server: KafkaServer, topic: str, source: str) -> list[Any]:
    """Of a source, in their order. What the broker sends again, marked as such, may be there twice."""
    found = [wire.decode_reading(record.value() or b"") for record in server.read_all(topic)]
    return [one.value for one in found if one.source == source]


def test_under_load_sources_come_go_and_change_and_the_others_notice_nothing(
    tmp_path: Path, kafka: KafkaServer, topic: str, broker: Mosquitto, lines: list[SerialLine]
) -> None:
    kept, changed, added = lines
    table = 'decoder = { kind = "csv", columns = ["count"] }'
    with ExitStack() as stack:
        first = serial(kept) + serial(changed) + SIMULATOR
        daemon = stack.enter_context(Configured(tmp_path / "gw", kafka.bootstrap, first, topic))
        before = serial(kept) + mqtt(broker, "plant") + serial(changed)
        daemon.connected("line-0", "line-1", "sim")
        said = daemon.reload(before)
        assert "sources added: plant; sources removed: sim" in said
        daemon.connected("plant")
        load = stack.enter_context(Load(kept, broker))
        changed.write(b"count=1\n")
        wait_until(lambda: daemon.delivered("plant") > 100 and daemon.delivered("line-1") == 1, "the load")

        said = daemon.reload(serial(kept) + mqtt(broker, "plant", "attic") + serial(changed, table))
        assert said == "applied: sources closed and opened anew: plant, line-1\n"
        daemon.connected("plant", "line-1")
        changed.write(b"2\n")
        said = daemon.reload(serial(kept) + mqtt(broker, "plant") + serial(changed, table) + serial(added))
        daemon.connected("plant", "line-2")
        added.write(b"count=3\n")
        wait_until(lambda: daemon.delivered("line-1") == 2 and daemon.delivered("line-2") == 1, "all of them")
        load.end()

        wait_until(lambda: daemon.delivered("line-0") == load.written, "all of the serial line")
        assert daemon.source("line-0")["counts"]["connects"] == 1
        assert [one["name"] for one in daemon.status()["sources"]] == ["line-0", "plant", "line-1", "line-2"]
        assert daemon.reload(
            serial(kept) + mqtt(broker, "plant") + serial(changed, table) + serial(added)
        ) == ("nothing differs from what runs\n")
        wait_until(lambda: set(values(kafka, topic, "plant")) >= set(range(load.published)), "all of MQTT")
        daemon.stop()

    assert values(kafka, topic, "line-0") == list(range(load.written))
    assert values(kafka, topic, "line-1") == [1, 2]
    assert set(values(kafka, topic, "plant")) == set(range(load.published))
    assert not daemon.events("source lost")
    assert [one["source"] for one in daemon.events("source connected")].count("line-0") == 1


def test_a_bad_file_is_refused_whole_and_said_until_it_is_mended(
    tmp_path: Path, kafka: KafkaServer, topic: str, lines: list[SerialLine]
) -> None:
    line, other, _ = lines
    with Configured(tmp_path / "gw", kafka.bootstrap, serial(line), topic) as daemon:
        daemon.connected("line-0")
        said = daemon.reload(serial(other, "bauds = 9600") + "[ingest]\nbatch_age = 1\n", code=1)

        refusal = "conf.d/50-sources.toml: sources.line-1.bauds: unknown key; did you mean `baud`?"
        assert refusal in said
        assert said.startswith("refused, and nothing was changed: ")
        line.write(b"count=1\n")
        wait_until(lambda: daemon.delivered("line-0") == 1, "a reading, all the same")
        report = daemon.status()
        assert [one["name"] for one in report["sources"]] == ["line-0"]
        assert report["health"] == "degraded"
        assert re.match(
            r"the configuration on disk is refused since \d{4}-\d\d-\d\d \d\d:\d\d: ", report["reasons"][0]
        )
        assert refusal in report["reasons"][0]
        [event] = daemon.events("configuration refused")
        assert refusal in event["problem"]

        said = daemon.reload(
            serial(line) + '[gateway]\nid = "pi-8"\n[control]\nsocket = "/elsewhere"\n', code=1
        )
        assert "gateway.id: cannot be changed while gatewayd runs: `sudo systemctl restart gateway`" in said
        with socket.create_server(("127.0.0.1", 0)) as taken:
            at = f"127.0.0.1:{taken.getsockname()[1]}"
            said = daemon.reload(serial(other) + f'[metrics]\nlisten = "{at}"\n', code=1)
        assert "another program listens there" in said
        assert "50-sources.toml: metrics.listen" in said
        assert [one["name"] for one in daemon.status()["sources"]] == ["line-0"]

        daemon.reload(serial(line))
        assert not [one for one in daemon.status()["reasons"] if "configuration" in one]
        daemon.stop()


def test_kafka_is_moved_while_readings_come_and_what_waited_goes_to_the_new_one(
    tmp_path: Path, kafka: KafkaServer, topic: str, lines: list[SerialLine]
) -> None:
    line = lines[0]

    def at(bootstrap: str) -> str:
        return serial(line) + f'[kafka]\nbootstrap_servers = "{bootstrap}"\n'

    with ExitStack() as stack:
        first = stack.enter_context(mock_kafka())
        for name in (topic, f"{topic}-letters", f"{topic}-status"):
            first.create_topic(name)
            kafka.create_topic(name)
        topics = (
            f'dead_letters_topic = "{topic}-letters"\nstatus_topic = "{topic}-status"\ncreate_topics = false'
        )
        daemon = stack.enter_context(Configured(tmp_path / "gw", "", at(first.bootstrap), topic, topics))
        daemon.connected("line-0")
        line.write(b"count=0\n")
        wait_until(lambda: daemon.delivered("line-0") == 1, "a reading at the first Kafka")
        daemon.reload(at(NOBODY))
        line.write(b"count=1\n")
        wait_until(lambda: daemon.status()["spool"]["on_disk"] == 1, "what waits to be safe")

        said = daemon.reload(at(kafka.bootstrap))
        assert said == "applied: changed: kafka.bootstrap_servers\n"
        line.write(b"count=2\n")
        wait_until(lambda: daemon.delivered("line-0") == 3, "all of it at the second Kafka")
        assert daemon.source("line-0")["counts"]["connects"] == 1
        daemon.stop()

    assert not [one for one in daemon.events("kafka unreachable") if one["bootstrap"] == NOBODY]
    assert values(kafka, topic, "line-0") == [1, 2]


def test_signals_during_a_reload_are_neither_lost_nor_in_its_way(
    tmp_path: Path, lines: list[SerialLine]
) -> None:
    with Configured(tmp_path / "gw", NOBODY, SIMULATOR, kafka=QUICK) as daemon:
        for number in range(20):
            daemon.write(SIMULATOR + f"[health]\nsilent_after = {number + 1}\n")
            os.kill(daemon.pid, signal.SIGHUP)
        daemon.write(SIMULATOR + serial(lines[0]))
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.connected("line-0")

        daemon.write(serial(lines[1]))
        os.kill(daemon.pid, signal.SIGHUP)
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.wait(10) == 0
        assert len(daemon.events("stopped")) == 1
        assert daemon.events("stopped")[0]["ledger"]["balanced"]


def test_a_stop_is_quick_while_kafka_is_away_and_loses_nothing(
    tmp_path: Path, lines: list[SerialLine]
) -> None:
    line = lines[0]

    with Configured(tmp_path / "gw", NOBODY, serial(line), kafka=QUICK) as daemon:
        daemon.connected("line-0")
        line.write(b"count=0\n")
        wait_until(lambda: daemon.status()["kafka"]["reachable"] is False, "Kafka to be known to be away")
        line.write(b"".join(b"count=%d\n" % number for number in range(1, 100)))
        wait_until(lambda: daemon.ledger("line-0")["readings"]["made"] == 100, "the readings")

        took = daemon.stop()

        assert took < 3
        daemon.start()
        assert daemon.status()["spool"]["on_disk"] == 100


def test_systemd_hears_that_it_reloads_and_that_it_is_done(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        daemon = Configured(tmp_path / "gw", NOBODY, SIMULATOR)
        daemon.environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with daemon:
            began = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            daemon.reload(SIMULATOR + "[health]\nsilent_after = 7\n")
            told = [manager.recv(4096).decode() for _ in range(4)]
            while "health.silent_after" not in told[-1]:
                told.append(manager.recv(4096).decode())

    [reloading] = [one for one in told if "RELOADING=1" in one]
    ended = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert began < int(re.findall(r"MONOTONIC_USEC=(\d+)", reloading)[0]) < ended
    assert told[-1] == "READY=1\nSTATUS=applied: changed: health.silent_after"


def test_detection_goes_by_new_rules_and_neither_loses_nor_repeats_an_anomaly(
    tmp_path: Path, kafka: KafkaServer, topic: str
) -> None:
    bench = Bench(kafka, topic, tmp_path)
    kafka.create_topic(topic, partitions=2)
    rules = tmp_path / "detect.d" / "50-rules.toml"
    rules.parent.mkdir()
    with bench.running() as process:
        bench.send(82.0, 83.0)
        wait_until(bench.logged(1), "the anomaly")
        rules.write_text("[[rules]]\nlimits = { hihg = 60 }\n")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: bench.events("configuration refused"), "the refusal")
        assert "50-rules.toml: rules.0.limits.hihg: unknown key; did you mean `high`?" in str(
            bench.events("configuration refused")[0]["problem"]
        )
        with socket.create_server(("127.0.0.1", 0)) as taken:
            rules.write_text(f'metrics.listen = "127.0.0.1:{taken.getsockname()[1]}"\n')
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(bench.events("configuration refused")) > 1, "what shows at the start only")
        rules.write_text('[[rules]]\nsensor = "temperature"\nlimits = { high = 60.0 }\n')
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: bench.events("configuration applied"), "the new rules")
        bench.send(65.0, 50.0)
        wait_until(bench.logged(2), "the end of the anomaly")
        bench.send(65.0)
        wait_until(bench.logged(3), "an anomaly by the new rules")
        bench.stop(process)

    assert [(one.event, one.value) for one in bench.said()] == [
        ("raised", 82.0),
        ("cleared", 50.0),
        ("raised", 65.0),
    ]
    assert bench.position() == 5
