"""What gatewayd logs while everybody refuses it holds none of its secrets."""

from pathlib import Path

from daemon import Daemon
from fixtures_mqtt import StartBroker
from waiting import wait_until

SECRET = "hunter2"  # noqa: S105 - to be looked for


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
        f"""
[kafka.options]
"security.protocol" = "sasl_plaintext"
"sasl.mechanism" = "PLAIN"
"sasl.username" = "u"
"sasl.password" = "{SECRET}"
""",
    )
    gateway.environment["GATEWAY_TOML"] = '[log]\nlevel = "debug"'
    with gateway:
        wait_until(lambda: "source lost" in gateway.log.read_text(), "the refusal of the broker")
        wait_until(lambda: "kafka unreachable" in gateway.log.read_text(), "the refusal of Kafka", 30)

    said = gateway.log.read_text()
    assert '"level": "debug"' in said
    assert SECRET not in said
