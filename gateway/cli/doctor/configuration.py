"""Configuration: whether it is accepted, whether the service can read it, and who else can."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.checking import Checked, check_gateway
from gateway.cli.doctor.finding import Finding, note, ok, problem, warning
from gateway.cli.doctor.user import READ, User, is_there
from gateway.config_files import ConfigError, read
from gateway.guard import MEND, group_name

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


def _files(path: Path) -> list[str]:
    try:
        return [name for name in read(path).names if not name.startswith("$")]
    except ConfigError:
        return [str(path)] if is_there(path) else []


def _refused(path: Path, error: ConfigError) -> Finding:
    if DENIED in str(error) and os.geteuid():
        return note("not permitted", path.name, str(error), "sudo gatewayctl doctor")
    return problem(
        "configuration refused", path.name, str(error), f"correct it, then: gatewayctl config check {path}"
    )


def _advice(path: Path, checked: Checked) -> Iterator[Finding]:
    yield ok(path.name, f"accepted, {checked.found}")
    for line in checked.advice:
        found, _, command = line.partition(MEND)
        if command:
            yield warning("secret readable by others", found.partition(" ")[0], found, f"sudo {command}")
            continue
        key, _, said = line.partition(": ")
        if not key.endswith(".port"):  # of serial ports more is said elsewhere
            yield note("configuration advice", key, said)
