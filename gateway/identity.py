"""Who this gateway is: an id that stays, and that no cloned card shares."""

import os
import re
import secrets
from pathlib import Path
from typing import Final

from devices.files import replace
from gateway.config import ConfigError, Gateway

BOARD_SERIAL: Final = Path("/proc/device-tree/serial-number")


def state_dir(settings: Gateway) -> Path:
    """The folder for what must survive a restart; see config.Gateway.state_dir. It need not exist."""
    return state_folder(settings.state_dir, "gateway")


def state_folder(configured: str, service: str) -> Path:
    """The same for any service: as configured, else as systemd says, else in the home of the user."""
    if configured:
        return Path(configured)
    if from_systemd := os.environ.get("STATE_DIRECTORY"):
        return Path(from_systemd.split(":")[0])
    return Path.home() / ".local" / "state" / service


def gateway_id(settings: Gateway, board_serial: Path = BOARD_SERIAL) -> str:
    """The id of this gateway: the configured one, the board's serial number, or one kept in the state folder.

    Never the host name or the machine id alone: cloned cards share them. An id drawn here is durable on return. One of
    several gateways on a board is called $GATEWAY_INSTANCE by systemd, and its id is the number and that name.

    Raises:
        ConfigError: an id has to be drawn and cannot be kept, or the name of the instance cannot be part of one.
    """
    if settings.id:
        return settings.id
    if serial := _board_serial(board_serial):
        instance = os.environ.get("GATEWAY_INSTANCE", "")
        return f"{serial}-{_allowed(instance)}" if instance else serial
    path = state_dir(settings) / "gateway-id"
    try:
        return path.read_text(encoding="ascii").strip() or _draw(path)
    except FileNotFoundError:
        return _draw(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}; set gateway.id in the configuration") from None


def known_id(settings: Gateway, folder: Path, instance: str = "", board_serial: Path = BOARD_SERIAL) -> str:
    """The id that gateway_id() would give the service `instance`, whose state is in `folder`; empty: that cannot be known.

    Draws none, and writes nothing.
    """
    if settings.id:
        return settings.id
    if serial := _board_serial(board_serial):
        return f"{serial}-{instance}" if instance else serial
    try:
        return (folder / "gateway-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _allowed(instance: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]{1,80}", instance) is None:
        raise ConfigError(
            f"$GATEWAY_INSTANCE: {instance!r} cannot be part of an id; allowed: letters, digits, . _ -, at most 80 of them; "
            "rename the instance, or set gateway.id"
        )
    return instance


def _board_serial(path: Path) -> str:
    try:
        serial = path.read_bytes().strip(b"\0 \n").decode("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
    return serial if serial.isalnum() and serial.strip("0") else ""


def _draw(path: Path) -> str:
    drawn = secrets.token_hex(6)
    try:
        replace(path, drawn.encode() + b"\n")
    except OSError as error:
        raise ConfigError(
            f"gateway.state_dir: {path.parent} cannot be written: {error.strerror}; "
            "make it writable, or set gateway.id and gateway.state_dir"
        ) from None
    return drawn
