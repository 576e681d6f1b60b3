"""Looks at detect.toml as closely as can be done without Kafka and without a broker."""

from pathlib import Path

from devices.mqtt.dial import password_path
from gateway.config import ConfigError
from gateway.detect.config import DetectConfig, load_detect
from gateway.kafka.client import check_options


def check_detect(path: Path) -> DetectConfig:
    """As load_detect(); and that the Kafka client takes its options, and that the file with the password is there.

    A relative password_file where systemd hands over no credentials is left to advice().

    Raises:
        ConfigError: see there.
    """
    config = load_detect(path)
    try:
        check_options(config.kafka)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    secret = password_path(config.mqtt)
    if secret is not None and secret.is_absolute() and (problem := _problem(secret)):
        raise ConfigError(f"{path}: mqtt.password_file: {str(secret)!r} is not there: {problem}")
    return config


def advice(config: DetectConfig) -> str:
    """What cannot be known here, as a line: whether systemd will hand over the file with the password. Empty: nothing."""
    secret = password_path(config.mqtt)
    if secret is None or secret.is_absolute() or not _problem(secret):
        return ""
    return (
        f"mqtt.password_file: {str(secret)!r} is not in this folder: it is found only if systemd hands it to the service "
        "(LoadCredential=)\n"
    )


def _problem(secret: Path) -> str:
    try:
        secret.stat()
    except PermissionError:
        return ""  # of another user, as it should be
    except (OSError, ValueError) as error:
        return str(error.strerror) if isinstance(error, OSError) else "it holds a NUL character"
    return ""
