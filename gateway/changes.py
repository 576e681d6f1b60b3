"""What differs between the configuration that runs and the one on disk, and what of it has to wait for a restart."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from devices.errors import SettingError
from devices.source import Home
from gateway.checking import look_closer
from gateway.config import GatewayConfig, SourceKeys
from gateway.config_files import ConfigError, placed, refusal
from gateway.control import daemon_socket
from gateway.guard import warn
from gateway.identity import gateway_id, state_dir
from gateway.setup import Secrets, Setup, refuse_unreadable, set_up, tables_of

_log = structlog.get_logger()

_NOTHING: Final = object()
_OUR_KEYS: Final = frozenset(field.encode_name for field in msgspec.structs.fields(SourceKeys)) - {"kind"}
"""Keys of a source that its own link knows nothing of."""

_SINK: Final = ("kafka",)
_RECORDS: Final = ("gateway.device_names", "ingest.batch_age")


class Changes(NamedTuple):
    """What differs.

    Attributes:
        keys: dotted, those whose values differ, or what is in the files they name; sorted.
        added, removed: names of sources.
        reopened: sources whose link has other settings.
        adjusted: sources that keep their link, and with which the gateway does something else.
    """

    keys: list[str]
    added: list[str]
    removed: list[str]
    reopened: list[str]
    adjusted: list[str]

    def within(self, *tables: str) -> bool:
        """Whether one of these tables or keys differs, or anything in them."""
        return any(key == table or key.startswith(f"{table}.") for key in self.keys for table in tables)

    @property
    def sink(self) -> bool:
        """Whether it takes another client of Kafka."""
        return self.within(*_SINK)

    @property
    def records(self) -> bool:
        """Whether records are made otherwise."""
        return self.within(*_RECORDS)

    def told(self) -> str:
        """In words, with names of keys and sources and without any value."""
        parts = [
            f"sources {word}: {', '.join(names)}"
            for word, names in (
                ("added", self.added),
                ("removed", self.removed),
                ("closed and opened anew", self.reopened),
                ("adjusted", self.adjusted),
            )
            if names
        ]
        if others := [key for key in self.keys if not key.startswith("sources.")]:
            parts.append(f"changed: {', '.join(others)}")
        return "; ".join(parts)


def read_anew(path: Path, home: Home, before: Setup) -> tuple[Setup, Changes]:
    """Read the configuration at `path` once more, check it whole, and say what differs from `before`. Blocks.

    Raises:
        ConfigError: it is refused, as gatewayd would, or not to be applied to the running gateway `home`.
    """
    with no_defect_ends_it(path):
        after = set_up(path, home)
        look_closer(path, after)
        refuse_unreadable(path, tables_of(after.config))
        check_applicable(path, before.config, after.config, home.gateway)
        warn(path)
        return after, compare(before, after)


@contextmanager
def no_defect_ends_it(path: Path) -> Iterator[None]:
    """A service that runs does not end because a check of what is on disk has a defect: that counts as a refusal, too.

    Raises:
        ConfigError: with the file in its text, in place of whatever it was.
    """
    try:
        yield
    except ConfigError as error:
        raise placed(path, error) from None
    except Exception as error:  # noqa: BLE001 - see above; logged with its traceback
        _log.exception("configuration cannot be checked")
        raise ConfigError(f"{path}: unexpected {type(error).__name__}; see the log") from None


def compare(before: Setup, after: Setup) -> Changes:
    """What `after` says otherwise than `before`. Blocks for no file."""
    was, is_now = before.config.sources, after.config.sources
    both = [name for name in is_now if name in was]
    reopened = [name for name in both if _link(before, name) != _link(after, name)]
    return Changes(
        keys_that_differ((before.config, before.secrets), (after.config, after.secrets)),
        [name for name in is_now if name not in was],
        [name for name in was if name not in is_now],
        reopened,
        [name for name in both if name not in reopened and was[name] != is_now[name]],
    )


def keys_that_differ(
    before: tuple[msgspec.Struct, Secrets], after: tuple[msgspec.Struct, Secrets]
) -> list[str]:
    """The dotted keys whose values differ, or what is in the files that they name; sorted."""
    old, new = dict(_leaves(*before)), dict(_leaves(*after))
    keys = {key for key in old.keys() | new.keys() if old.get(key, _NOTHING) != new.get(key, _NOTHING)}
    return sorted({".".join(filter(None, key)) for key in keys})


def check_applicable(path: Path, before: GatewayConfig, after: GatewayConfig, gateway: str) -> None:
    """Whether a running gatewayd, of the id `gateway`, can go from one to the other. `path` is the file, for the message.

    Raises:
        ConfigError: something differs that holds from start to end.
    """
    spool, wanted = before.spool, after.spool
    for key, differs in (
        ("gateway.id", gateway_id(after.gateway) != gateway),
        ("gateway.state_dir", state_dir(after.gateway).absolute() != state_dir(before.gateway).absolute()),
        ("control.socket", daemon_socket(after.control.socket) != daemon_socket(before.control.socket)),
        ("spool.memory_bytes", wanted.memory_bytes < spool.memory_bytes),
        ("spool.disk_bytes", wanted.disk_bytes < spool.disk_bytes),
    ):
        if differs:
            raise refusal(
                path, SettingError(key, f"cannot be {_done_to(key)} while gatewayd runs: {restart()}")
            )


def restart(service: str = "gateway") -> str:
    """The command that starts the service anew."""
    instance = os.environ.get("GATEWAY_INSTANCE", "")
    return f"`sudo systemctl restart {service}{'@' if instance else ''}{instance}`"


def _done_to(key: str) -> str:
    return "lowered" if key.startswith("spool.") else "changed"


def _link(setup: Setup, name: str) -> tuple[dict[str, Any], Mapping[str, int]]:
    """What the link of a source is made of."""
    table = {key: value for key, value in setup.config.sources[name].items() if key not in _OUR_KEYS}
    return table, setup.secrets[f"sources.{name}"]


def _leaves(config: msgspec.Struct, secrets: Secrets) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value, and once more what is in the files that some of them name."""
    yield from _flat(msgspec.to_builtins(config), ())
    for table, contents in secrets.items():
        for key, content in contents.items():
            yield (table, key, ""), content


def _flat(table: Mapping[str, Any], within: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, (*within, key))
        else:
            yield (*within, key), value
