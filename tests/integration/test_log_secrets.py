"""What the services log while everybody refuses them holds none of their secrets."""

import os
import subprocess
from pathlib import Path

from daemon import COMMANDS, Daemon
from fixtures_mqtt import StartBroker
from waiting import wait_until

SECRET = "hunter2"  # noqa: S105 - to be looked for

OPTIONS = f"""
[kafka.options]
"security.protocol" = "sasl_plaintext"
"sasl.mechanism" = "PLAIN"
"sasl.username" = "u"
"sasl.password" = "{SECRET}"
"""
FINEST = dict.fromkeys(("GATEWAY_TOML", "DETECT_TOML"), '[log]\nlevel = "debug"')


def test_no_secret_is_in_the_finest_log_of_a_gateway_that_is_refused(
    start_broker: StartBroker, tmp_path: Path
) -> None:
    broker = start_broker("allow_anonymous false")
    gateway = Daemon(
        tmp_path / "gateway",
        f"127.0.0.1:{broker.port}",  # which is no Kafka, and hangs up
        f"""
[sources.plant]
kind = "mqtt"
broker = "127.0.0.1"
port = {broker.port}
topics = ["plant/#"]
username = "u"
password = "{SECRET}"
""",
        OPTIONS,
    )
    gateway.environment |= FINEST
    with gateway:
        wait_until(lambda: "source lost" in gateway.log.read_text(), "the refusal of the broker")
        wait_until(lambda: "kafka unreachable" in gateway.log.read_text(), "the refusal of Kafka", 30)

    said = gateway.log.read_text()
    assert '"level": "debug"' in said
    assert SECRET not in said


def test_no_secret_is_in_the_finest_log_of_a_gateway_detect_that_is_refused(
    start_broker: StartBroker, tmp_path: Path
) -> None:
    broker = start_broker("allow_anonymous false")
    config, log = tmp_path / "detect.toml", tmp_path / "log"
    config.write_text(
        f"""
state_dir = "{tmp_path / "state"}"
[log]
format = "json"
[kafka]
bootstrap_servers = "127.0.0.1:{broker.port}"
[mqtt]
broker = "127.0.0.1"
port = {broker.port}
username = "u"
password = "{SECRET}"
{OPTIONS}
"""
    )
    with log.open("wb") as file:
        detect = subprocess.Popen(
            [COMMANDS / "gateway-detect", "--config", config], stderr=file, env={**os.environ, **FINEST}
        )
    try:
        wait_until(lambda: "anomalies do not reach mqtt" in log.read_text(), "the refusal of the broker")
        wait_until(lambda: "kafka unreachable" in log.read_text(), "the refusal of Kafka", 30)
    finally:
        detect.kill()
        detect.wait()

    said = log.read_text()
    assert '"level": "debug"' in said
    assert SECRET not in said
