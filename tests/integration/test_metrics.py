"""A real Prometheus scrapes a real gatewayd and a real gateway-detect; what we ship for it and for Grafana finds what it asks for."""

import json
import os
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import COMMANDS, Daemon
from detect_process import RULES as LIMITS
from detect_process import Bench
from kafka import KafkaServer, free_ports
from mosquitto import Mosquitto
from prometheus import CONFIG, RULES, Prometheus, missing
from prometheus_client.parser import text_string_to_metric_families
from pty_port import SerialLine
from waiting import wait_until

DOCS = CONFIG.parent / "docs" / "metrics.md"


@pytest.fixture
def prometheus_installed() -> None:
    if obstacle := missing():
        if os.environ.get("CI"):
            pytest.fail(obstacle)
        pytest.skip(obstacle)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as one:
        yield one


def panels() -> list[tuple[str, str]]:
    """Title and query of each panel that has one, as Grafana would send them with all instances chosen."""
    found = []
    for path in sorted((CONFIG / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                expression = target["expr"].replace("$instance", ".*").replace("$__rate_interval", "15s")
                found.append((f"{path.stem}: {panel['title']}", expression))
    return found


def page(port: int) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """By name and labels, what a service serves now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def names_in(expressions: str) -> set[str]:
    return set(re.findall(r"\b(?:gateway|process)_[a-z0-9_]+\b(?!\s*[:/])", expressions))


@pytest.mark.usefixtures("prometheus_installed")
def test_all_that_dashboards_alerts_and_docs_speak_of_is_found_by_a_real_prometheus(
    kafka: KafkaServer,
    topic: str,
    tmp_path: Path,
    line: SerialLine,
    broker: Mosquitto,
) -> None:
    one, two, three = free_ports(3)
    kafka.create_topic(topic, 2)
    detect = Bench(kafka, topic, tmp_path, tables=f'{LIMITS}[metrics]\nlisten = "127.0.0.1:{two}"\n')
    sources = f"""
[metrics]
listen = "127.0.0.1:{one}"
[sources.sim]
kind = "simulator"
interval = 0.2
[sources.line]
kind = "serial"
port = "{line.name}"
[sources.plant]
kind = "mqtt"
broker = "127.0.0.1"
port = {broker.port}
topics = ["plant/{{device}}/{{sensor}}"]
"""
    topics = (
        f'readings_topic = "{topic}"\nstatus_topic = "{topic}-status"\ndead_letters_topic = "{topic}-dead"\n'
    )
    with (
        Daemon(tmp_path / "gw", kafka.bootstrap, sources, topics) as daemon,
        detect.running() as process,
        Prometheus(
            tmp_path / "prometheus",
            three,
            {"127.0.0.1:9464": f"127.0.0.1:{one}", "127.0.0.1:9465": f"127.0.0.1:{two}"},
        ) as prometheus,
    ):
        wait_until(lambda: daemon.state("line") == daemon.state("plant") == "connected", "the sources")
        line.write(b"count=1\nthis is nothing\n")
        broker.publish("plant/pump/temperature", "21.5")
        detect.send(20.0, 99.0, 21.0, 99.0)
        wait_until(lambda: daemon.delivered("plant") == 1, "the reading in Kafka")
        for title, expression in panels():
            wait_until(lambda: prometheus.query(expression), f"{title}: {expression}")  # noqa: B023 - called at once

        same_as_the_status(daemon, page(one))
        by_the_conventions(one, two)
        served = page(one).keys() | page(two).keys()
        assert served == names_in(DOCS.read_text())
        assert names_in(RULES.read_text()) <= served
        for expression in alerts(prometheus):
            prometheus.query(expression)
        known = [series["job"] for series in prometheus.get("series", **{"match[]": "up"})]
        assert sorted(known) == ["gateway", "gateway-detect"]

        wait_until(lambda: len(detect.events("anomaly")) == 3, "the anomalies")
        before = page(two)
        detect.stop(process)
        same_as_the_log(detect.events("stopped")[0], before)
        daemon.stop()


@pytest.mark.parametrize("command", ["gatewayd", "gateway-detect"])
def test_a_port_that_is_taken_ends_the_start_at_once_with_what_to_do(command: str, tmp_path: Path) -> None:
    tables = {
        "gatewayd": f'[gateway]\nstate_dir = "{tmp_path}"\n[sources.sim]\nkind = "simulator"\n',
        "gateway-detect": "",
    }
    with socket.create_server(("127.0.0.1", 0)) as other:
        config = tmp_path / "it.toml"
        config.write_text(
            f"""
            {f'state_dir = "{tmp_path}"' if command == "gateway-detect" else ""}
            [kafka]
            bootstrap_servers = "127.0.0.1:1"
            [metrics]
            listen = "127.0.0.1:{other.getsockname()[1]}"
            {tables[command]}
            """
        )
        done = subprocess.run(
            [COMMANDS / command, "--config", config], capture_output=True, text=True, check=False, timeout=20
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"{command}: {config}: metrics.listen: '127.0.0.1:")
    assert done.stderr.endswith("another program listens there; stop it, or name another port\n")


def by_the_conventions(*ports: int) -> None:
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            command = ["promtool", "check", "metrics"]
            done = subprocess.run(command, input=answer.read(), capture_output=True, check=False, timeout=20)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def alerts(prometheus: Prometheus) -> list[str]:
    groups = prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []
    return [rule["query"] for rule in rules]


def same_as_the_status(daemon: Daemon, found: dict[str, Any]) -> None:
    status = daemon.status()
    for source in status["sources"]:
        name = source["name"]
        of_source = (("source", name),)
        assert found["gateway_source_devices"][of_source] == source["devices"]
        letters = {
            dict(labels)["reason"]: value
            for labels, value in found["gateway_dead_letters_total"].items()
            if dict(labels)["source"] == name
        }
        assert letters == source["dead_letters_by_reason"]
        assert sum(letters.values()) == source["dead_letters"] == (name == "line")
        for key, value in source["counts"].items():
            served = {"bytes": "received_bytes"}.get(key, key)
            if (counter := f"gateway_source_{served}_total") in found:
                assert found[counter][of_source] == value
    totals = status["ledger"]["sources"]
    for name in ("line", "plant"):
        delivered = found["gateway_readings_delivered_total"][("source", name),]
        assert delivered == totals[name]["readings"]["delivered"] == 1
    [labels] = found["gateway_info"]
    assert dict(labels) == {"gateway": "pi-7", "version": status["gateway"]["version"]}


def same_as_the_log(stopped: dict[str, Any], before: dict[str, Any]) -> None:
    """The totals in the log when it ended, and what was served just before."""
    assert 0 < before["gateway_detect_readings_total"][()] <= stopped["judged"]
    assert before["gateway_detect_sensors"][()] == stopped["sensors"] == 12
    assert before["gateway_detect_partitions"][("state", "judged"),] == stopped["partitions"] == 2
    assert len(before["gateway_detect_lag_records"]) == 2
    assert before["gateway_detect_anomalies_open"][("grade", "alarm"),] == stopped["open"] == 1
    events = {
        labels: value for labels, value in before["gateway_detect_anomaly_events_total"].items() if value
    }
    assert {dict(labels)["event"]: value for labels, value in events.items()} == {"raised": 2, "cleared": 1}
    assert before["gateway_detect_writes_total"][("outcome", "written"),] > 0


@pytest.mark.usefixtures("prometheus_installed")
def test_the_alerts_fire_where_they_have_to_and_nowhere_else() -> None:
    folder = RULES.parent
    for arguments in (
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "gateway.rules.test.yml"],
    ):
        done = subprocess.run(
            ["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_its_test_and_says_what_to_do() -> None:
    rules = RULES.read_text()
    tests = (RULES.parent / "gateway.rules.test.yml").read_text()
    named = re.findall(r"- alert: (\w+)", rules)

    assert len(named) == rules.count("summary: ") == rules.count("description: ")
    assert [name for name in named if f'alertname="{name}"' not in tests] == []
