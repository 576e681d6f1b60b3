"""Who else may read and write what a service lives on, and settings that let strangers in; looked at when it starts.

What strangers may write is refused: whoever writes the configuration, a key or the spool has the gateway. What they may read
is a warning: a secret is known to more people than it should be, and readings do not wait for that.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import structlog

from devices.credentials import credential_path
from devices.settings import is_secret
from gateway.config_files import ConfigError, read
from gateway.kafka_access import all_loopback, loopback

_log = structlog.get_logger()

MEND: Final = "; mend it with: "
"""Between what is amiss with a file and the command that mends it."""

_GROUPS: Final = frozenset({"gateway", "gateway-detect"})
"""Those of the services where a package made them: who looks may be root, who is in neither."""

_KEYS_ARE_PATHS: Final = {
    ("tls", "key"),
    ("options", "ssl.key.location"),
    ("options", "ssl.keystore.location"),
}
"""Of a table and a key in it: what names a file with a private key."""


def look(path: Path, state: Path | None = None) -> list[str]:
    """What is amiss with the configuration at `path` and the folder `state`: a sentence each, with what mends it. Blocks.

    Raises:
        ConfigError: others may write there.
    """
    files = read(path)
    table = files.table
    configuration = [Path(name) for name in files.names if not name.startswith("$")]
    secrets = [one for one in map(credential_path, _secret_files(table)) if not _handed_over(one)]
    folders = {one.absolute().parent for one in [*configuration, *secrets]}
    for one in [*configuration, *secrets, *sorted(folders), *([state] if state else [])]:
        _refuse_writers(one)
    private = [*secrets, *(configuration if _holds_secret(table) else [])]
    return [*(said for one in private for said in _readers(one)), *_unsafe(table)]


def warn(path: Path, state: Path | None = None) -> None:
    """Say in the log what look() finds.

    Raises:
        ConfigError: see there.
    """
    for sentence in look(path, state):
        _log.warning("not guarded", problem=sentence)


def _handed_over(path: Path) -> bool:
    """By systemd, which guards it."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return folder is not None and path.is_relative_to(folder)


def _refuse_writers(path: Path) -> None:
    found = _stat(path)
    if (
        found is None or found.st_mode & stat.S_ISVTX
    ):  # in a folder such as /tmp each may replace only what is his own
        return
    if found.st_mode & stat.S_IWOTH:
        raise ConfigError(f"{path}: everybody on this machine may write it{MEND}chmod o-w {path}")
    if found.st_mode & stat.S_IWGRP and not _ours(found.st_gid):
        raise ConfigError(
            f"{path}: the group {_group(found.st_gid)}, which is not that of the service, may write it{MEND}"
            f"chmod g-w {path}"
        )


def _readers(path: Path) -> Iterator[str]:
    found = _stat(path)
    if found is None:
        return
    if found.st_mode & stat.S_IROTH:
        yield f"{path} holds a secret, and everybody on this machine may read it{MEND}chmod o-rwx {path}"
    elif found.st_mode & stat.S_IRGRP and not _ours(found.st_gid):
        group = _group(found.st_gid)
        strange = f"the group {group}, which is not that of the service, may read it"
        yield f"{path} holds a secret, and {strange}{MEND}chgrp gateway {path}"


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None  # whoever opens it says so


def _ours(gid: int) -> bool:
    return gid in {0, os.getegid(), *os.getgroups()} or _group(gid) in _GROUPS


def _group(gid: int) -> str:
    import grp  # noqa: PLC0415 - of use here alone

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _secret_files(table: Any, name: str = "") -> Iterator[str]:
    for key, value in table.items() if isinstance(table, dict) else ():
        if isinstance(value, dict):
            yield from _secret_files(value, key)
        elif isinstance(value, str) and value and (key.endswith("_file") or (name, key) in _KEYS_ARE_PATHS):
            yield value


def _holds_secret(table: Any, name: str = "") -> bool:
    return isinstance(table, dict) and any(
        _holds_secret(value, key)
        or (isinstance(value, str) and value and is_secret(key) and (name, key) not in _KEYS_ARE_PATHS)
        for key, value in table.items()
    )


def _unsafe(table: dict[str, Any]) -> Iterator[str]:
    """Of settings that are accepted, as somebody may know what he does."""
    kafka = table.get("kafka", {})
    options = {key: str(value).lower() for key, value in kafka.get("options", {}).items()}
    off = {
        "enable.ssl.certificate.verification": {"false"},
        "ssl.endpoint.identification.algorithm": {"none", ""},
    }
    for key, values in off.items():
        if options.get(key) in values:
            yield f"kafka.options.{key}: anybody in the network can pose as the broker; take it out, and set kafka.tls"
    servers = str(kafka.get("bootstrap_servers", "localhost:9092"))
    if options.get("security.protocol") == "sasl_plaintext" and not all_loopback(servers):
        yield "kafka.options.security.protocol: who listens in the network can go on in place of this gateway; set kafka.tls"
    for name, one in [
        ("mqtt", table.get("mqtt", {})),
        *((f"sources.{n}", t) for n, t in table.get("sources", {}).items()),
    ]:
        hosts = one.get("broker", [])
        hosts = [hosts] if isinstance(hosts, str) else hosts
        if one.get("username") and not one.get("tls") and not all(loopback(host) for host in hosts if host):
            yield f"{name}.username: it and the password are sent for everybody in the network to read; set {name}.tls"
