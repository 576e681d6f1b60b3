"""What may stand in `[kafka]`: the checks that types cannot make."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from devices.errors import SettingError
from gateway.config import DetectKafka, Kafka
from gateway.config_files import refusal
from gateway.kafka_access import PROTOCOL, own_key
from gateway.named_files import SECRET_FILE

_READ: Final = "set nothing in place of it: only what is committed is read"
_POSITION: Final = "set nothing in place of it: the position is written with what it stands for"
_OWN_OPTIONS: Final[Mapping[str, str]] = {
    "bootstrap.servers": "set kafka.bootstrap_servers in place of it",
    "metadata.broker.list": "set kafka.bootstrap_servers in place of it",
    "enable.auto.commit": _POSITION,
    "enable.auto.offset.store": _POSITION,
    "enable.idempotence": "set nothing in place of it: it is always on",
    "enable.partition.eof": "set nothing in place of it: it is always on",
    "isolation.level": _READ,
    "log_level": "set log.level in place of it",
}
_GATEWAY_OPTIONS: Final = {
    **_OWN_OPTIONS,
    "auto.offset.reset": "set nothing in place of it: the gateway reads its position only",
    "group.id": "set gateway.id in place of it: the group that holds the position is called after it",
    "transactional.id": "set gateway.id in place of it: the transactions are called after it",
}
_DETECT_OPTIONS: Final = {
    **_OWN_OPTIONS,
    "auto.offset.reset": "set start in place of it",
    "group.id": "set group in place of it",
    "transactional.id": "set group in place of it: the transactions of each process are called after it",
}
"""Properties of the Kafka client that are no options, since the program sets them, and what to do in place of it."""


def check_kafka(kafka: Kafka, path: Path) -> None:
    """Whether the settings fit together: how to get in, options that the program sets itself, and which topic is for what.

    Raises:
        ConfigError: they do not. `path` is the file, for the message.
    """
    try:
        kafka.check_access(kafka.bootstrap_servers)
    except SettingError as error:
        raise refusal(path, error) from None
    own = _DETECT_OPTIONS if isinstance(kafka, DetectKafka) else _GATEWAY_OPTIONS
    access = {key.removesuffix(SECRET_FILE): key for key in kafka.client_options()}
    for key, value in kafka.options.items():
        name = key.removesuffix(SECRET_FILE)
        problem, about = "", [f"kafka.options.{key}"]
        if name in own:
            problem = f"{key!r} is not allowed: {own[name]}"
        elif name != key and name in kafka.options:
            problem, about = f"{key!r} excludes {name!r}; keep one of them", [*about, f"kafka.options.{name}"]
        elif name in access:
            says = kafka.said_by() if name == PROTOCOL else own_key(access[name])
            problem, about = f"{key!r} excludes {says}; keep one of them", [*about, says]
        elif name != key and not (isinstance(value, str) and value):
            problem = f"{key!r} must be the path of a file"
        if problem:
            raise refusal(path, SettingError("kafka.options", problem, about))
    keys = [field.name for field in msgspec.structs.fields(kafka) if field.name.endswith("_topic")]
    seen: dict[str, str] = {}
    for key in keys:
        name = getattr(kafka, key)
        if name in seen:
            problem = f"{name!r} is not allowed: must be another topic than kafka.{seen[name]}"
            raise refusal(
                path, SettingError(f"kafka.{key}", problem, [f"kafka.{key}", f"kafka.{seen[name]}"])
            )
        seen[name] = key
