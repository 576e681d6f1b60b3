"""Bad input never stops the daemon and never vanishes: a message, a counter, and a dead letter where there is a payload."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import COMMANDS, Daemon
from kafka import KafkaServer
from mosquitto import Mosquitto, free_port, password_file
from pty_port import SerialLine
from waiting import wait_until

from gateway import wire


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as one:
        yield one


def tables(line: SerialLine, settings: str = "") -> str:
    return f'[sources.line]\nkind = "serial"\nport = "{line.name}"\n{settings}\n'


def topics(topic: str) -> str:
    """Settings that keep the tests on one Kafka apart."""
    return f'readings_topic = "{topic}"\ndead_letters_topic = "{topic}-dead"\n'


def letters(kafka: KafkaServer, topic: str) -> list[wire.DeadLetter]:
    return [wire.decode_dead_letter(record.value() or b"") for record in kafka.read_all(f"{topic}-dead")]


@pytest.mark.parametrize(
    ("bad", "settings", "reason"),
    [
        pytest.param(b"%%%%\n", "", "", id="undecodable"),
        pytest.param(b"t=21\xff\xfe5\n", "", "UTF-8", id="wrong UTF-8"),
        pytest.param(b"t=NaN\n", "", "NaN", id="NaN"),
        pytest.param(b't={"a":NaN}\n', 'decoder = "json"', "JSON", id="not JSON"),
        pytest.param(b"x" * 10_000_000 + b"\n", "", "a line of more than 65536 bytes", id="a line of 10 MB"),
        pytest.param(
            b"device=stranger t=1\n",
            'devices = ["line", "press-*"]',
            "unknown device: no pattern in sources.line.devices matches it",
            id="an unknown device",
        ),
    ],
)
def test_a_bad_line_becomes_a_dead_letter_is_counted_and_the_daemon_goes_on(
    tmp_path: Path, kafka: KafkaServer, line: SerialLine, topic: str, bad: bytes, settings: str, reason: str
) -> None:
    good = b'{"t": 1}\n' if "json" in settings else b"t=1\n"
    sources = tables(line, settings)
    with Daemon(tmp_path / "gw", kafka.bootstrap, sources, topics(topic)) as daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        line.write(good + bad + good)
        wait_until(lambda: daemon.delivered("line") == 2, "the good lines around it")
        payloads = daemon.ledger("line")["payloads"]
        [event] = daemon.events("dead letter")
        daemon.stop()

    assert payloads == {"received": 3, "decoded": 2, "ignored": 0, "dead_lettered": 1}
    [letter] = letters(kafka, topic)
    assert letter.size == len(bad) - 1
    assert letter.payload == bad[: len(letter.payload)]
    assert len(letter.payload) == min(letter.size, 16_384)
    assert letter.place == str(line.name)
    assert reason in letter.reason
    assert event["reason"] == letter.reason
    assert event["source"] == "line"
    assert "remedy" in event


def test_a_missing_port_is_named_with_what_to_do_and_found_when_it_appears(
    tmp_path: Path, kafka: KafkaServer, line: SerialLine, topic: str
) -> None:
    line.hang_up()
    with Daemon(tmp_path / "gw", kafka.bootstrap, tables(line), topics(topic)) as daemon:
        [event] = wait_until(lambda: daemon.events("source lost"), "the loss in the log")
        assert event["problem"].startswith(f"no such port {line.name}: is it plugged in?")
        assert daemon.status()["health"] == "down", "there is no other source"
        line.plug_in()
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        line.write(b"t=1\n")
        wait_until(lambda: daemon.delivered("line") == 1, "its reading")
        daemon.stop()


def test_a_refused_mqtt_password_is_named_with_broker_and_user_and_the_daemon_goes_on(
    tmp_path: Path, kafka: KafkaServer, line: SerialLine, topic: str
) -> None:
    passwords = tmp_path / "passwords"
    password_file(passwords, "gateway", "right")
    passwords.chmod(0o644)
    broker = Mosquitto(tmp_path / "broker", f"allow_anonymous false\npassword_file {passwords}")
    broker.start()
    plant = (
        f'[sources.plant]\nkind = "mqtt"\nbroker = "127.0.0.1"\nport = {broker.port}\n'
        'topics = ["plant/#"]\nusername = "gateway"\npassword = "wrong-secret"\n'
    )
    try:
        with Daemon(tmp_path / "gw", kafka.bootstrap, tables(line) + plant, topics(topic)) as daemon:
            wait_until(lambda: daemon.state("plant") == "refused", "the refusal")
            [reason] = [one for one in daemon.status()["reasons"] if "plant" in one]
            line.write(b"t=1\n")
            wait_until(lambda: daemon.delivered("line") == 1, "the other source")
            daemon.stop()
    finally:
        broker.stop()

    assert f"127.0.0.1:{broker.port}" in reason
    assert "gateway" in reason
    assert "wrong-secret" not in daemon.log.read_text()


def test_an_unreachable_kafka_is_named_and_readings_are_kept(tmp_path: Path, line: SerialLine) -> None:
    port = free_port()
    with Daemon(tmp_path / "gw", f"127.0.0.1:{port}", tables(line)) as daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        line.write(b"t=1\nt=2\n")
        wait_until(lambda: daemon.status()["kafka"]["reachable"] is False, "the outage to be noticed")
        wait_until(lambda: daemon.ledger("line")["readings"]["spooled"] == 2, "the readings to be kept")
        status = daemon.status()
        assert status["health"] == "degraded"
        assert any("Kafka is unreachable, readings are kept" in reason for reason in status["reasons"])
        [event] = daemon.events("kafka unreachable")
        assert str(port) in event["bootstrap"]
        assert daemon.stop() < 16, "a stop does not wait for Kafka for ever"
    [stopped] = daemon.events("stopped")
    assert stopped["ledger"]["balanced"]
    kept = stopped["ledger"]["sources"]["line"]["readings"]
    assert (kept["spooled"], kept["dropped"]) == (2, {})


def test_an_unknown_configuration_key_is_refused_at_start(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('[kafka]\nbootstrap_server = "k:9092"\n[sources.sim]\nkind = "simulator"\n')

    ended = subprocess.run(
        [COMMANDS / "gatewayd", "--config", path], capture_output=True, text=True, check=False, timeout=20
    )

    assert ended.returncode == 2
    assert ended.stderr.startswith(
        f"gatewayd: {path}: kafka.bootstrap_server: unknown key; did you mean `bootstrap_servers`?"
    )


def test_a_property_that_the_kafka_client_does_not_know_is_refused_at_start(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(
        f'[gateway]\nid = "pi-7"\n[control]\nsocket = "{tmp_path / "d.sock"}"\n'
        '[kafka.options]\n"no.such.property" = 1\n[sources.sim]\nkind = "simulator"\n'
    )

    ended = subprocess.run(
        [COMMANDS / "gatewayd", "--config", path], capture_output=True, text=True, check=False, timeout=20
    )

    assert ended.returncode == 2
    assert "kafka.options: refused by the Kafka client" in ended.stderr
    assert "no.such.property" in ended.stderr


def test_config_check_says_the_same_as_the_daemon_and_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('[sources.line]\nkind = "serial"\nport = "/dev/nothing"\nbaud = "fast"\n')

    refused = subprocess.run(
        [COMMANDS / "gatewayctl", "config", "check", path], capture_output=True, text=True, check=False
    )
    path.write_text('[sources.line]\nkind = "serial"\nport = "/dev/nothing"\nbaud = 115200\n')
    accepted = subprocess.run(
        [COMMANDS / "gatewayctl", "config", "check", path], capture_output=True, text=True, check=False
    )

    assert refused.returncode == 2
    assert "sources.line.baud: 'fast' is not allowed" in refused.stderr
    assert accepted.returncode == 0
    assert "accepted: 1 source(s): line" in accepted.stdout


def test_status_exit_codes_tell_healthy_degraded_and_down_apart(
    tmp_path: Path, kafka: KafkaServer, topic: str
) -> None:
    def status(*more: str) -> subprocess.CompletedProcess[str]:
        socket = str(tmp_path / "gw" / "d.sock")
        command = [str(COMMANDS / "gatewayctl"), "status", "--socket", socket, *more]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    nobody = status()
    assert (nobody.returncode, nobody.stderr[:5]) == (2, "down:")
    sim = '[sources.sim]\nkind = "simulator"\ninterval = 0.1\n'
    gone = '[sources.line]\nkind = "serial"\nport = "/dev/nothing"\n'
    with Daemon(tmp_path / "gw", kafka.bootstrap, sim, topics(topic)) as daemon:
        wait_until(lambda: daemon.delivered("sim"), "the first delivery")
        healthy = status()
        assert healthy.returncode == 0
        assert healthy.stdout.startswith("healthy")
        daemon.stop()
    with Daemon(tmp_path / "gw", kafka.bootstrap, sim + gone, topics(topic)) as daemon:
        wait_until(lambda: daemon.state("line") == "lost", "the loss")
        degraded = status("--json")
        assert degraded.returncode == 1
        assert '"health": "degraded"' in degraded.stdout
        daemon.stop()
