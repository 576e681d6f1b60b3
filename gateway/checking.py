"""Looks at gateway.toml as closely as can be done without a port, a broker and Kafka."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from devices.credentials import credential_path, why_not
from devices.errors import SettingError
from devices.source import Home
from gateway.config import GatewayConfig, Kafka
from gateway.config_files import ConfigError, placed, read, refusal
from gateway.guard import look
from gateway.kafka_access import own_key
from gateway.named_files import SECRET_FILE
from gateway.setup import Setup, set_up


class Checked(NamedTuple):
    """A configuration that is accepted.

    Attributes:
        files: those it was read from, in this order.
        found: what it holds, in a few words.
        advice: what is allowed and perhaps not meant, or cannot be known here; a line each.
    """

    files: list[str]
    found: str
    advice: list[str]

    def text(self) -> str:
        """For the eye."""
        first, *others = self.files
        beside = f" with {', '.join(others)}" if others else ""
        return "".join(f"{line}\n" for line in [*self.advice, f"{first}{beside}: accepted: {self.found}"])


def check_gateway(path: Path) -> Checked:
    """Check gateway.toml.

    Raises:
        ConfigError: it is refused, as gatewayd would.
    """
    guarded = look(path)
    checked = look_closer(path, set_up(path, Home("check")))
    return checked._replace(advice=[*guarded, *checked.advice])


def look_closer(path: Path, setup: Setup) -> Checked:
    """Check what has been read from `path` and understood: the files that it names, and what the Kafka client says.

    Raises:
        ConfigError: it is refused.
    """
    config = setup.config
    advice = list(_unwise(config))
    for name, table in config.sources.items():
        if secret := table.get("password_file"):
            advice += check_secret(path, f"sources.{name}.password_file", secret)
    exactly_once = config.kafka.delivery == "exactly-once"
    advice += check_kafka_client(
        path, config.kafka, {"transactional.id": "check"} if exactly_once else {"enable.idempotence": True}
    )
    names = [spec.source.name for spec in setup.specs]
    return Checked(read(path).names, f"{len(names)} source(s): {', '.join(names)}", advice)


def check_kafka_client(path: Path, kafka: Kafka, own: dict[str, str | bool]) -> list[str]:
    """Whether the Kafka client takes its options, with the properties of `own`. Returns advice.

    Raises:
        ConfigError: it does not.
    """
    options, advice = {**kafka.client_options(), **kafka.options}, []
    if not options:
        return []
    for key, secret in list(options.items()):
        if key.endswith(SECRET_FILE):
            named = f"kafka.options.{key}" if key in kafka.options else own_key(key)
            advice += check_secret(path, named, str(secret))
            if not _readable(str(secret)):
                options[key.removesuffix(SECRET_FILE)] = "a secret"
                del options[key]
    from gateway.kafka.client import check_options  # noqa: PLC0415 - takes longer than all the rest

    try:
        check_options(kafka, options, own)
    except ConfigError as error:
        raise placed(path, error) from None
    return advice


def check_secret(path: Path, key: str, secret: str) -> list[str]:
    """Whether the file with a secret is there. Returns advice where only systemd will know.

    Raises:
        ConfigError: it is not.
    """
    where = credential_path(secret)
    try:
        where.stat()
    except PermissionError:
        return [_closed(key, where)]
    except (OSError, ValueError) as error:
        if where.is_absolute():
            raise refusal(path, SettingError(key, f"{str(where)!r} is not there: {why_not(error)}")) from None
        found_if = "it is found only if systemd hands it to the service (LoadCredential=)"
        return [f"{key}: {secret!r} is not in this folder: {found_if}"]
    return [] if os.access(where, os.R_OK) else [_closed(key, where)]


def _closed(key: str, where: Path) -> str:
    return (
        f"{key}: {str(where)!r} is closed to this user, as it should be, and was not looked at; sudo sees it"
    )


def _readable(secret: str) -> bool:
    try:
        with credential_path(secret).open("rb"):
            return True
    except (OSError, ValueError):
        return False


def _unwise(config: GatewayConfig) -> Iterator[str]:
    """What is allowed and unwise: the name of a port that may be another adapter's tomorrow."""
    for name, table in config.sources.items():
        if table["kind"] != "serial":
            continue
        from devices.serial_port.ports import better_name  # noqa: PLC0415 - of use here alone

        if better := better_name(table["port"]):
            yield (
                f"sources.{name}.port: {table['port']} may lead to another adapter tomorrow; this one is always {better}"
            )
