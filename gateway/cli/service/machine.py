"""The machine that the service is to run on: what stands in the way, who is there, and what systemd runs."""

import grp
import os
import pwd
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gateway.cli.service.files import SERVICES, UNITS, is_ours

USER: Final = "gateway"
PORTS_GROUP: Final = "dialout"
HIDDEN: Final = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108 - the sandbox has others
"""Folders that a service does not see: ProtectHome= and PrivateTmp= in its unit."""

ELSEWHERE: Final = """install the program for the whole machine:
  sudo PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install --python /usr/bin/python3 'iot-edge-gateway[all]'
or, with pipx 1.5 or later, `sudo pipx install --global ...`; then `sudo /usr/local/bin/gatewayctl service install`"""


class ServiceError(Exception):
    """It cannot be done. The text says why and what to do."""


class Step(NamedTuple):
    """One thing to do to the machine."""

    what: str
    do: Callable[[], object]


def perform(steps: Iterable[Step], *, dry: bool, quiet: bool) -> None:
    """Do one after the other, and say each unless `quiet`; `dry`: only say.

    Raises:
        ServiceError: one failed; those before it are done.
    """
    for step in steps:
        if not quiet:
            sys.stdout.write(f"{'would ' if dry else ''}{step.what}\n")
            sys.stdout.flush()
        if not dry:
            try:
                step.do()
            except (OSError, ServiceError) as error:
                raise ServiceError(f"could not {step.what}: {error}") from None


def run(*words: str | Path) -> str:
    """What a program of the system prints.

    Raises:
        ServiceError: it failed, or is not there.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    except OSError as error:
        raise ServiceError(f"{words[0]}: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise ServiceError(f"`{' '.join(map(str, words))}` ended with {done.returncode}: {said}")
    return done.stdout


def scripts() -> Path:
    """The folder with the commands of this installation."""
    return Path(sysconfig.get_path("scripts"))


def booted() -> bool:
    """Whether systemd runs this machine; it does not while an image is made."""
    return Path("/run/systemd/system").is_dir()


def check_rights() -> None:
    """Raise ServiceError unless root is asking."""
    if os.geteuid() != 0:
        raise ServiceError(f"only root may do this: sudo {scripts() / 'gatewayctl'} service ...")


def check_system() -> None:
    """Raise ServiceError where the services are not this command's to install or to remove."""
    if shutil.which("systemctl") is None:
        raise ServiceError(
            "there is no systemd here (no systemctl); let what starts programs on this machine run "
            f"`{scripts() / 'gatewayd'} --config FILE` as a user of its own"
        )
    for folder in (Path("/usr/lib/systemd/system"), Path("/lib/systemd/system")):
        if (folder / SERVICES[0]).exists():
            raise ServiceError(
                f"a package has brought the service ({folder / SERVICES[0]}), and looks after it; "
                "in favour of this installation remove it first: sudo apt remove iot-edge-gateway"
            )
    for name in SERVICES:
        unit = UNITS / name
        if (unit.exists() or unit.is_symlink()) and not is_ours(unit):
            raise ServiceError(
                f"{unit} was not written by this command: remove it first: sudo systemctl disable --now {name}; sudo rm {unit}"
            )


def check_program() -> None:
    """Raise ServiceError where the service could not run this installation."""
    command = scripts() / "gatewayd"
    if not command.exists():
        raise ServiceError(f"{command} is not there: {ELSEWHERE}")
    if not re.fullmatch(r"[A-Za-z0-9/._+-]+", str(command)):
        raise ServiceError(f"{command} has characters that a unit cannot name: {ELSEWHERE}")
    for path in dict.fromkeys(_needed(command)):
        if folder := next((one for one in HIDDEN if path.is_relative_to(one)), None):
            raise ServiceError(
                f"{path} lies in {folder}, which the service does not see (ProtectHome=, PrivateTmp=): {ELSEWHERE}"
            )
        for part in (path, *path.parents):
            if not part.stat().st_mode & (0o001 if part.is_dir() else 0o004):
                raise ServiceError(f"the service may not read {part}: sudo chmod -R a+rX {part}")


def _needed(command: Path) -> Iterator[Path]:
    """What the service reads before it can say anything, with each link followed as well."""
    for path in (command, Path(sys.executable), Path(__file__), Path(sysconfig.get_path("stdlib"))):
        yield path.absolute()
        yield path.resolve()


def user_is_there() -> bool:
    """Whether the user exists and may open serial ports."""
    try:
        return (
            pwd.getpwnam(USER).pw_gid == grp.getgrnam(USER).gr_gid
            and USER in grp.getgrnam(PORTS_GROUP).gr_mem
        )
    except KeyError:
        return False


def has_rights(path: Path) -> bool:
    """Whether a file or folder of the configuration is for root and the services alone."""
    found = path.stat()
    wanted = 0o750 if path.is_dir() else 0o640
    return (
        user_is_there()
        and found.st_mode & 0o777 == wanted
        and (found.st_uid, found.st_gid) == (0, grp.getgrnam(USER).gr_gid)
    )


def newest_change() -> float:
    """When this installation was made or upgraded, in seconds since 1970."""
    libraries = Path(sysconfig.get_path("purelib"))
    return max((one.stat().st_mtime for one in libraries.glob("*.dist-info")), default=0.0)


class Running(NamedTuple):
    """A service that runs, and since when, in seconds since 1970."""

    name: str
    since: int


def running() -> list[Running]:
    """The services of gateways that run."""
    if not booted():
        return []
    asked = ("Id", "ActiveState", "ExecMainStartTimestamp")
    told = run(
        "systemctl",
        "show",
        "--timestamp=unix",
        f"--property={','.join(asked)}",
        *SERVICES[:2],
        "gateway@*.service",
    )
    found = []
    for block in told.split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        if values.get("ActiveState") in {"active", "reloading", "activating"}:
            since = re.fullmatch(r"@(\d+)", values.get("ExecMainStartTimestamp", ""))
            found.append(Running(values["Id"], int(since[1]) if since else 0))
    return found


def units_are_stale() -> bool:
    """Whether systemd has not read the units since they changed."""
    return "yes" in run("systemctl", "show", "--property=NeedDaemonReload", "--value", *SERVICES[:2]).split()


def unit_of(name: str) -> Path:
    """The file of a service or instance."""
    return UNITS / re.sub(r"@.+\.service$", "@.service", name)


def remove(paths: Iterable[Path]) -> None:
    """Delete files and whole folders."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
