"""What all checks start from: the configuration, the service as systemd has it, and what the daemon itself says."""

import contextlib
import os
import pwd
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.cli.doctor.machine import Machine
from gateway.cli.doctor.user import User, is_there, this_user, user_named
from gateway.config import ConfigError, GatewayConfig, load
from gateway.config_files import FOLDER
from gateway.control import SOCKET_NAME, ControlError, ask, find_socket
from gateway.detect.config import DetectConfig, load_detect
from gateway.identity import known_id, state_dir

STATUS_TIMEOUT: Final = 2.0

_PROPERTIES: Final = (
    "LoadState", "ActiveState", "SubState", "UnitFileState", "NRestarts", "Result", "ExecMainStatus", "User",
    "SupplementaryGroups", "DevicePolicy", "DeviceAllow", "NeedDaemonReload",
)  # fmt: skip


class Unit(NamedTuple):
    """A service of systemd.

    Attributes:
        name: of it.
        properties: what `systemctl show` says; empty: no systemd, or no such service.
    """

    name: str
    properties: dict[str, str]

    @property
    def there(self) -> bool:
        """Whether systemd knows it."""
        return self.properties.get("LoadState") == "loaded"


class Here(NamedTuple):
    """What is known before anything is looked at.

    Attributes:
        path: of gateway.toml.
        config: what it says; None: it is refused.
        detect_path: of detect.toml.
        detect: what it says; None: there is none, it is refused, or its service is there and not in use.
        machine: this one.
        unit: the service.
        user: who runs the service, or would.
        socket: the control socket.
        status: what the daemon says; None: it does not answer.
        silence: why not.
        asked: when it was asked, in seconds since 1970.
        folder: where the daemon keeps what must survive.
        gateway: the id of this gateway; empty: it has none yet, or it cannot be seen.
    """

    path: Path
    config: GatewayConfig | None
    detect_path: Path
    detect: DetectConfig | None
    machine: Machine
    unit: Unit
    user: User
    socket: Path
    status: dict[str, Any] | None
    silence: str
    asked: float
    folder: Path
    gateway: str


def look_around(path: Path, socket: str, machine: Machine) -> Here:
    """Find out. Blocks for a few seconds at most. `socket` is the control socket named, or empty."""
    config, detect = None, None
    with contextlib.suppress(ConfigError):
        config = load(path, GatewayConfig)
    detect_path = Path(os.environ.get("DETECT_CONFIG") or path.with_name("detect.toml"))
    if is_there(detect_path) and not _idle(_unit("gateway-detect.service", machine)):
        with contextlib.suppress(ConfigError):
            detect = load_detect(detect_path)
    instance = instance_of(path)
    unit = _unit(f"gateway@{instance}.service" if instance else "gateway.service", machine)
    where = _socket(config, socket, instance)
    status, silence = None, ""
    try:
        status = ask(where, {"verb": "status"}, STATUS_TIMEOUT)
    except ControlError as error:
        silence = str(error)
    asked = time.time()
    folder = _folder(config, status, unit, instance)
    gateway = status["gateway"]["id"] if status else ""
    if config is not None and not gateway:
        gateway = known_id(config.gateway, folder, instance)
    user = _service_user(unit) or (_owner(where) if status else None) or this_user()
    return Here(
        path, config, detect_path, detect, machine, unit, user, where, status, silence, asked, folder, gateway
    )


def instance_of(path: Path) -> str:
    """The NAME of gateway@NAME.service whose configuration this is; empty: it is that of gateway.service."""
    return path.stem if path.parent == FOLDER and path.stem not in {"gateway", "detect"} else ""


def _socket(config: GatewayConfig | None, named: str, instance: str) -> Path:
    if named or os.environ.get("GATEWAY_SOCKET"):
        return find_socket(named)
    if config is not None and config.control.socket:
        return Path(config.control.socket)
    return Path(f"/run/gateway@{instance}") / SOCKET_NAME if instance else find_socket()


def _folder(config: GatewayConfig | None, status: dict[str, Any] | None, unit: Unit, instance: str) -> Path:
    if status:
        return Path(status["spool"]["folder"]).parent
    if config is not None and config.gateway.state_dir:
        return Path(config.gateway.state_dir)
    service = Path(f"/var/lib/gateway@{instance}" if instance else "/var/lib/gateway")
    if unit.there or is_there(service) or config is None:
        return service
    return state_dir(config.gateway)


def _unit(name: str, machine: Machine) -> Unit:
    said = machine.run("systemctl", "show", name, f"--property={','.join(_PROPERTIES)}") or ""
    pairs = (line.partition("=") for line in said.splitlines())
    properties: dict[str, str] = {}
    for key, _, value in pairs:  # DeviceAllow= comes as a line each
        properties[key] = f"{properties[key]}\n{value}" if key in properties else value
    return Unit(name, properties)


def _idle(unit: Unit) -> bool:
    """Whether nobody wants it: the package brings gateway-detect, and leaves it to the user to enable it."""
    return (
        unit.there
        and unit.properties.get("ActiveState") == "inactive"
        and unit.properties.get("UnitFileState") == "disabled"
    )


def _owner(socket: Path) -> User | None:
    """The user that a daemon which no unit started runs as: it made its socket."""
    try:
        return user_named(pwd.getpwuid(socket.stat().st_uid).pw_name)
    except (OSError, KeyError):
        return None


def _service_user(unit: Unit) -> User | None:
    if not unit.there:
        return None
    groups = frozenset(unit.properties.get("SupplementaryGroups", "").split())
    return user_named(unit.properties.get("User") or "root", groups)
