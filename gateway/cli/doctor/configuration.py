"""Configuration: whether it is accepted, whether the service can read it, and whether secrets are."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from devices.credentials import credential_path
from gateway.checking import Checked, check_gateway
from gateway.cli.doctor.finding import Finding, note, ok, problem, warning
from gateway.cli.doctor.user import READ, User, group_name, is_there
from gateway.config import SECRET_FILE, GatewayConfig
from gateway.config_files import ConfigError, read

DENIED: Final = f"cannot be read: {os.strerror(errno.EACCES)}"


def accepted(path: Path) -> Iterator[Finding]:
    """As `gatewayctl config check` has it."""
    try:
        checked = check_gateway(path)
    except ConfigError as error:
        yield _refused(path, error)
        return
    yield from _advice(path, checked)


def detect_accepted(path: Path) -> Iterator[Finding]:
    """The same of gateway-detect, if it is set up here."""
    if not is_there(path):
        return
    from gateway.detect.checking import check_detect  # noqa: PLC0415 - of use here alone

    try:
        checked = check_detect(path)
    except ConfigError as error:
        yield _refused(path, error)
        return
    yield from _advice(path, checked)


def readable(path: Path, user: User) -> Iterator[Finding]:
    """Whether the user that the service runs as can read the files."""
    for name in _files(path):
        try:
            may = user.may(Path(name), READ)
        except OSError as error:
            yield note(
                "not permitted",
                name,
                f"whether {user.name} can read it cannot be seen: {error.strerror}",
                "sudo gatewayctl doctor",
            )
            continue
        if may:
            yield ok(Path(name).name, f"readable by {user.name}")
        else:
            yield problem(
                "configuration unreadable",
                name,
                f"the service runs as user {user.name}, who may not read it",
                f"sudo chown root:{group_name(min(user.gids))} {name} && sudo chmod 640 {name}",
            )


def secrets(path: Path, config: GatewayConfig) -> Iterator[Finding]:
    """Whether everybody on this machine can read a secret."""
    for name in _files(path):
        holds = [key for key in _inline(config) if read(path).files_of(key).count(name)]
        if holds and _open_to_all(Path(name)):
            yield _exposed(name, f"everybody on this machine can read the secret {holds[0]} in it")
    seen = set()
    for key, value in _secret_files(config):
        where = credential_path(value)
        if where.is_absolute() and where not in seen and _open_to_all(where):
            yield _exposed(str(where), f"everybody on this machine can read this secret ({key})")
        seen.add(where)


def _exposed(name: str, found: str) -> Finding:
    return warning("secret readable by all", name, found, f"sudo chmod o-rwx {name}")


def _open_to_all(path: Path) -> bool:
    """Whether everybody may read it, and go through the folders to it."""
    try:
        folders = [folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents]
        return bool(path.stat().st_mode & stat.S_IROTH) and all(folders)
    except OSError:
        return False


def _files(path: Path) -> list[str]:
    try:
        return [name for name in read(path).names if not name.startswith("$")]
    except ConfigError:
        return [str(path)] if is_there(path) else []


def _inline(config: GatewayConfig) -> Iterator[str]:
    """Keys whose value is a secret itself."""
    for name, table in config.sources.items():
        if table.get("password"):
            yield f"sources.{name}.password"
    for key in config.kafka.options:
        if key.endswith(("password", "secret", "key.pem", "sasl.oauthbearer.config")):
            yield f"kafka.options.{key}"


def _secret_files(config: GatewayConfig) -> Iterator[tuple[str, str]]:
    """Keys whose value is a file with a secret in it, and that file."""
    for name, table in config.sources.items():
        tls: Mapping[str, Any] = table["tls"] if isinstance(table.get("tls"), dict) else {}
        for key, value in (
            (f"sources.{name}.password_file", table.get("password_file")),
            (f"sources.{name}.tls.key", tls.get("key")),
        ):
            if isinstance(value, str) and value:
                yield key, value
    for key, value in config.kafka.options.items():
        if key.endswith(SECRET_FILE) or key in {"ssl.key.location", "ssl.keystore.location"}:
            yield f"kafka.options.{key}", str(value)


def _refused(path: Path, error: ConfigError) -> Finding:
    if DENIED in str(error) and os.geteuid():
        return note("not permitted", path.name, str(error), "sudo gatewayctl doctor")
    return problem(
        "configuration refused", path.name, str(error), f"correct it, then: gatewayctl config check {path}"
    )


def _advice(path: Path, checked: Checked) -> Iterator[Finding]:
    yield ok(path.name, f"accepted, {checked.found}")
    for line in checked.advice:
        key, _, said = line.partition(": ")
        if not key.endswith(".port"):  # of serial ports more is said elsewhere
            yield note("configuration advice", key, said)
