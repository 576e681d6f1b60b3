"""`gatewayctl anomalies` and the words about them with a real gateway-detect, and a backtest over a real topic."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer
from detecting import NOON, SECOND, noise
from kafka import KafkaServer
from waiting import wait_until

import devices.reading
from gateway.cli.main import main as gatewayctl
from gateway.detect.service import main as gateway_detect
from gateway.wire import decode_anomaly, encode_reading

DEADLINE = 30.0


class Plant:
    """Topics with readings in them, and a gateway-detect that can be started."""

    def __init__(self, server: KafkaServer, topic: str, folder: Path) -> None:
        self.server, self.topic = server, topic
        self.config = folder / "detect.toml"
        self.config.write_text(
            f"""
            group = "{topic}"
            state_dir = "{folder / "state"}"
            [kafka]
            bootstrap_servers = "{server.bootstrap}"
            readings_topic = "{topic}"
            anomalies_topic = "{topic}-anomalies"
            state_topic = "{topic}-state"
            commands_topic = "{topic}-commands"
            partitions = 2
            [[rules]]
            sensor = "temperature"
            limits = {{ high = 80.0 }}
            """,
            encoding="utf-8",
        )
        for name in (topic, f"{topic}-anomalies"):
            server.create_topic(name, partitions=2)
        self._producer = Producer(
            {"bootstrap.servers": server.bootstrap, "partitioner": "murmur2_random", "log_level": 0}
        )
        self._seq = 0

    def send(self, *values: float, device: str = "boiler-7") -> None:
        for value in values:
            self._seq += 1
            at = NOON + self._seq * SECOND
            one = devices.reading.Reading(device, "temperature", value, at, "line", at, "°C")
            record = encode_reading(one, "gw-1", "spool-1", self._seq)
            self._producer.produce(self.topic, record, f"gw-1/{device}")
        assert not self._producer.flush(DEADLINE)

    @contextmanager
    def detecting(self) -> Iterator[None]:
        """A gateway-detect runs meanwhile."""
        with (self.config.parent / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway.detect.service", "--config", str(self.config)],
                stderr=log,
                env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
            )
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def said(self) -> list[tuple[str, str, str]]:
        """Id, event and sentence of every anomaly in the topic, in no order."""
        found = (
            decode_anomaly(one.value() or b"") for one in self.server.read_all(f"{self.topic}-anomalies")
        )
        return sorted((one.id, one.event, one.sentence) for one in found)


@pytest.fixture
def plant(kafka: KafkaServer, topic: str, tmp_path: Path) -> Plant:
    return Plant(kafka, topic, tmp_path)


class Gatewayctl:
    """Runs it, with the configuration of the plant."""

    def __init__(self, plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
        self._plant, self._capsys = plant, capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = gatewayctl([*words, "--config", str(self._plant.config)])
        out, err = self._capsys.readouterr()
        return code, out, err

    def states(self, *words: str) -> dict[str, str]:
        """By device, the state of the anomalies that are listed."""
        _, out, _ = self("anomalies", "--json", *words)
        return {
            one["device"]: one["state"]
            for one in map(json.loads, out.splitlines())
            if one["rule"] == "limits"
        }


def test_people_see_what_is_open_and_what_they_say_is_heard(
    plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    call = Gatewayctl(plant, capsys)
    with plant.detecting():
        assert call("anomalies") == (0, "No anomaly is open.\n", "")
        plant.send(99.0)
        plant.send(98.0, device="pump-1")
        plant.send(97.0, 70.0, device="fan-2")
        wait_until(lambda: call.states("--all").get("fan-2") == "cleared", "the anomalies", DEADLINE)
        wait_until(lambda: len(call.states()) == 2, "both open ones", DEADLINE)

        code, out, _ = call("anomalies")
        assert code == 1
        assert "99 °C is above the high limit 80 °C" in out
        ids = {line.split()[3]: line.split()[0] for line in out.splitlines()[1:]}

        assert call("ack", ids["boiler-7"], "--by", "maria") == (
            0,
            "gw-1/boiler-7 temperature, limits: acknowledged by maria\n",
            "",
        )
        assert call.states() == {"boiler-7": "acknowledged", "pump-1": "open"}
        assert call("ack", ids["boiler-7"])[1] == f"{ids['boiler-7']} is acknowledged already by maria\n"

        code, out, _ = call("fault", ids["boiler-7"], "--by", "maria")
        assert (code, "called a real fault by maria" in out) == (0, True)
        code, out, _ = call("accept", ids["pump-1"], "--by", "maria")
        assert (code, "accepted as normal by maria" in out) == (0, True)
        assert call.states() == {"boiler-7": "acknowledged", "pump-1": "acknowledged"}, "the limits stay"
        code, _, err = call("ack", "zz")
        assert (code, "no anomaly has an id that begins with 'zz'" in err) == (2, True)

    code, _, err = call("fault", ids["pump-1"], "--wait", "0.2")
    assert code == 1
    assert "is it running" in err


def test_a_backtest_over_the_topic_says_what_the_service_said(
    plant: Plant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [70 + one for one in noise(200, mean=0.0)]
    values[150] = 99.0
    for device in ("boiler-7", "pump-1", "fan-2"):
        plant.send(*values, device=device)
    out = tmp_path / "scores.csv"
    words = ["backtest", "--topic", plant.topic, "--config", str(plant.config)]
    assert gateway_detect([*words, "--json", "--scores", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    flagged = sorted(
        (one[name]["id"], one[name]["event"], one[name]["sentence"])
        for one in found["anomalies"]
        for name in ("raised", "cleared")
        if one[name] is not None  # whoever came first is silent at the end
    )

    def said() -> list[tuple[str, str, str]]:
        return [one for one in plant.said() if one[1] != "updated"]

    with plant.detecting():
        wait_until(lambda: len(said()) >= len(flagged), "the service to say as much", DEADLINE)

    assert found["rows"] == found["counts"]["judged"] == 600
    assert found["sensors"] == 3
    assert len(found["anomalies"]) >= 6
    assert said() == flagged
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 600
    high = [row for row in rows if float(row["anomaly_score"]) > 0.5]
    assert {row["gateway"] for row in rows} == {"gw-1"}
    assert {row["device"] for row in high} == {"boiler-7", "pump-1", "fan-2"}
    assert {row["value"] for row in high} >= {"99.0"}


def test_a_backtest_reads_what_kafka_got_within_a_time(
    plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    plant.send(*[70.0] * 5)
    begin = time.time_ns() // 1_000_000 + 1
    wait_until(lambda: time.time_ns() // 1_000_000 > begin, "the clock to go on", DEADLINE)
    plant.send(*[70.0] * 7)
    end = time.time_ns() // 1_000_000 + 1
    wait_until(lambda: time.time_ns() // 1_000_000 > end, "the clock to go on", DEADLINE)
    plant.send(*[70.0] * 11)

    def rows(*more: str) -> int:
        words = ["backtest", "--topic", plant.topic, "--config", str(plant.config), "--json", *more]
        assert gateway_detect(words) == 0
        return int(json.loads(capsys.readouterr().out)["rows"])

    assert rows() == 23
    assert rows("--from", str(begin)) == 18
    assert rows("--to", str(end)) == 12
    assert rows("--from", str(begin), "--to", str(end)) == 7
    words = ["backtest", "--topic", plant.topic, "--config", str(plant.config), "--from", "2090-01-01T00:00"]
    assert gateway_detect(words) == 2
    assert "nothing was written in that time" in capsys.readouterr().err


def test_a_topic_that_is_not_there_is_refused(
    kafka: KafkaServer, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "detect.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap}"\nanomalies_topic = "{topic}"\n', encoding="utf-8"
    )

    assert gateway_detect(["backtest", "--topic", topic + "-none", "--config", str(config)]) == 2
    assert "there is no topic" in capsys.readouterr().err
    assert gatewayctl(["anomalies", "--config", str(config)]) == 2
    assert f"there is no topic '{topic}'; has gateway-detect run" in capsys.readouterr().err
