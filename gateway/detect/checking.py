"""Looks at detect.toml as closely as can be done without Kafka and without a broker."""

from pathlib import Path

from gateway.checking import Checked, check_kafka_client, check_secret
from gateway.config_files import read
from gateway.detect.config import DetectConfig, load_detect
from gateway.guard import look


def check_detect(path: Path) -> Checked:
    """Check detect.toml.

    Raises:
        ConfigError: it is refused, as gateway-detect would; or the file with the password of the broker is not there.
    """
    guarded = look(path)
    checked = look_closer(path, load_detect(path))
    return checked._replace(advice=[*guarded, *checked.advice])


def look_closer(path: Path, config: DetectConfig) -> Checked:
    """Check what has been read from `path` and understood.

    Raises:
        ConfigError: it is refused.
    """
    exactly_once = config.kafka.delivery == "exactly-once"
    advice = check_kafka_client(
        path, config.kafka, {"transactional.id": "check"} if exactly_once else {"enable.idempotence": True}
    )
    if config.mqtt.password_file:
        advice += check_secret(path, "mqtt.password_file", config.mqtt.password_file)
    return Checked(read(path).names, f"{len(config.rules)} table(s) of rules", advice)
