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
from gateway.named_files import files_in

_log = structlog.get_logger()

MEND: Final = "; mend it with: "
"""Between what is amiss with a file and the command that mends it."""

_GROUPS: Final = frozenset({"gateway", "gateway-detect"})
"""Those of the services where a package made them: who looks may be root, who is in neither."""

_USERS: Final = _GROUPS
"""Their users are called like them."""


def look(path: Path, state: Path | None = None) -> list[str]:
    """What is amiss with the configuration at `path` and the folder `state`: a sentence each, with what mends it. Blocks.

    Raises:
        ConfigError: others may write there, or files that it names, or one of these belongs to somebody else.
    """
    files = read(path)
    table = files.table
    configuration = [Path(name) for name in files.names if not name.startswith("$")]
    named = [one for one in files_in(table) if not _handed_over(credential_path(one.path))]
    paths = [*configuration, *(credential_path(one.path) for one in named)]
    folders = {folder for one in paths for folder in (one.absolute().parent, one.resolve().parent)}
    for one in [*paths, *sorted(folders), *([state] if state else [])]:
        _refuse_writers(one)
    secrets = [credential_path(one.path) for one in named if one.secret]
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
    if found is None:
        return
    if not _our_user(found.st_uid):
        owner = _user(found.st_uid)
        raise ConfigError(
            f"{path}: belongs to {owner}, who is neither root nor the user of the service{MEND}chown root {path}"
        )
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return  # in a folder such as /tmp each may replace only what is his own
    if found.st_mode & stat.S_IWOTH:
        raise ConfigError(f"{path}: everybody on this machine may write it{MEND}chmod o-w {path}")
    if found.st_mode & stat.S_IWGRP and not _ours(found.st_gid):
        raise ConfigError(
            f"{path}: the group {group_name(found.st_gid)}, which is not that of the service, may write it{MEND}"
            f"chmod g-w {path}"
        )


def _readers(path: Path) -> Iterator[str]:
    found = _stat(path)
    if found is None:
        return
    if found.st_mode & stat.S_IROTH:
        yield f"{path} holds a secret, and everybody on this machine may read it{MEND}chmod o-rwx {path}"
    elif found.st_mode & stat.S_IRGRP and not _ours(found.st_gid):
        group = group_name(found.st_gid)
        strange = f"the group {group}, which is not that of the service, may read it"
        yield f"{path} holds a secret, and {strange}{MEND}chgrp gateway {path}"


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None  # whoever opens it says so


def _ours(gid: int) -> bool:
    return gid in {0, os.getegid(), *os.getgroups()} or group_name(gid) in _GROUPS


def _our_user(uid: int) -> bool:
    """Whoever became root by sudo is asked about his own files, and may do everything anyway."""
    became = os.environ.get("SUDO_UID", "") if os.geteuid() == 0 else ""
    return uid in {0, os.geteuid()} or str(uid) == became or _user(uid) in _USERS


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415 - of use here alone

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """What a group is called; its number if that is not known here."""
    import grp  # noqa: PLC0415 - of use here alone

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _holds_secret(table: Any, name: str = "") -> bool:
    return isinstance(table, dict) and any(
        _holds_secret(value, key)
        or (isinstance(value, str) and value and is_secret(key) and not _is_path(key, name))
        for key, value in table.items()
    )


def _is_path(key: str, name: str) -> bool:
    return any(True for _ in files_in({key: "x"}, name))


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
