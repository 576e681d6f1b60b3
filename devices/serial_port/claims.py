"""Who else uses a serial port, or reaches for it, and what to do about it. Nothing is opened, and no process disturbed."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from devices.serial_port.ports import ROOT, FoundPort

_GETTYS: Final = ("agetty", "getty", "mgetty", "mingetty")
_MODEM_RULE: Final = 'ATTRS{{idVendor}}=="{}", ATTRS{{idProduct}}=="{}", ENV{{ID_MM_DEVICE_IGNORE}}="1"'


class Claim(NamedTuple):
    """Who uses a port, and what to do about it; the latter is empty for the gateway itself."""

    who: str
    todo: str


class Process(NamedTuple):
    """A running program, and the paths that it has open; None: that cannot be seen."""

    pid: int
    program: str
    arguments: list[str]
    opened: list[str] | None


def running(root: Path = ROOT) -> list[Process]:
    """All processes. What other users' processes have open can be seen by root only."""
    return [
        process for pid in _numbers(root / "proc") if (process := _process(root / "proc" / str(pid), pid))
    ]


def claims(port: FoundPort, processes: Sequence[Process], root: Path = ROOT) -> list[Claim]:
    """Who uses the port now, or is set to use it when the machine starts."""
    name = port.device.removeprefix("/dev/")
    found = []
    if name in _consoles(root):
        todo = (
            f"remove `console={name}` and what follows it up to the next space from the kernel's command line "
            "(Raspberry Pi: /boot/firmware/cmdline.txt, or raspi-config, Interface Options, Serial Port), and reboot"
        )
        found.append(Claim("the kernel, which writes its messages there (console)", todo))
    lockers = _lockers(port, root)
    holders = [one for one in processes if one.pid in lockers or port.device in (one.opened or ())]
    gettys = [
        one for one in processes if one.program in _GETTYS and (one in holders or name in one.arguments)
    ]
    if gettys or _getty_is_set_up(name, root):
        unit = f"serial-getty@{name}.service"
        found.append(Claim(f"a login prompt ({unit})", f"sudo systemctl mask --now {unit}"))
    for holder in holders:
        who = f"{holder.program}, process {holder.pid}"
        if holder.program == "gatewayd":
            found.append(Claim(f"{who}: the gateway itself", ""))
        elif holder not in gettys:
            found.append(Claim(who, "end it, for two programs at one port each get a part of the bytes"))
    return found


def probers(ports: Sequence[FoundPort], processes: Sequence[Process], root: Path = ROOT) -> list[Claim]:
    """Programs of this machine that reach for adapters when these are plugged in."""
    found = []
    programs = {one.program for one in processes}
    if "ModemManager" in programs:
        ids = sorted({(one.usb.vendor_id, one.usb.product_id) for one in ports if one.usb})
        rules = "".join(
            f"; or, in /etc/udev/rules.d/99-gateway.rules: {_MODEM_RULE.format(*one)}" for one in ids
        )
        todo = f"without a modem here: sudo systemctl disable --now ModemManager{rules}"
        found.append(
            Claim("ModemManager tries whether an adapter is a modem, by sending commands to it", todo)
        )
    if "brltty" in programs or _brltty_is_set_up(root):
        who = (
            "brltty takes some USB adapters (CH340, CP210x, FTDI) for braille displays: they vanish from /dev as soon as "
            "they are plugged in"
        )
        found.append(
            Claim(who, "without a braille display here: sudo apt remove brltty, and plug them in again")
        )
    return found


def _consoles(root: Path) -> set[str]:
    """Names of the terminals that are consoles, now or by the kernel's command line."""
    words = _text(root / "proc/cmdline").split()
    wanted = {
        word.removeprefix("console=").partition(",")[0] for word in words if word.startswith("console=")
    }
    return wanted | set(_text(root / "sys/class/tty/console/active").split())


def _getty_is_set_up(name: str, root: Path) -> bool:
    unit = f"serial-getty@{name}.service"
    masked = root / "etc/systemd/system" / unit
    if masked.is_symlink() and str(masked.readlink()) == "/dev/null":
        return False
    folders = ("run/systemd/generator", "etc/systemd/system")
    return any((root / folder / "getty.target.wants" / unit).is_symlink() for folder in folders)


def _brltty_is_set_up(root: Path) -> bool:
    folders = (root / "usr/lib/udev/rules.d", root / "lib/udev/rules.d")
    return any(any(folder.glob("*brltty*.rules")) for folder in folders)


def _lockers(port: FoundPort, root: Path) -> set[int]:
    """Who has locked it. Everybody may know that, unlike who has it open; and the gateway locks its ports."""
    status = (root / port.device.removeprefix("/")).stat()
    found = set()
    for line in _text(root / "proc/locks").splitlines():
        words = line.split()  # 1: FLOCK ADVISORY WRITE 4711 00:05:643 0 EOF
        if words[1:2] == ["FLOCK"]:
            major, minor, inode = words[5].split(":")
            if (os.makedev(int(major, 16), int(minor, 16)), int(inode)) == (status.st_dev, status.st_ino):
                found.add(int(words[4]))
    return found


def _process(folder: Path, pid: int) -> Process | None:
    program = _text(folder / "comm").strip()
    if not program:
        return None  # it has ended meanwhile
    arguments = [one for one in _text(folder / "cmdline").split("\0") if one]
    try:
        descriptors = list((folder / "fd").iterdir())
    except OSError:
        return Process(pid, program, arguments, None)
    return Process(pid, program, arguments, list(_targets(descriptors)))


def _targets(links: Sequence[Path]) -> Iterator[str]:
    for link in links:
        with suppress(OSError):  # closed meanwhile
            yield str(link.readlink())


def _numbers(folder: Path) -> list[int]:
    try:
        return sorted(int(one.name) for one in folder.iterdir() if one.name.isdigit())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
