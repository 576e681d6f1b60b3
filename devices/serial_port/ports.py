"""Which serial ports there are, what they are, and by which name each is best called.

All from what the kernel and udev have written down, below a root that tests replace. No port is ever opened: that alone
can restart the board behind it.
"""

import grp
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path("/")

_ABSENT: Final = "0"
"""The type of a UART that the kernel keeps a number for, and that is not there."""


class Usb(NamedTuple):
    """What a USB adapter says of itself; empty is what it does not say.

    Attributes:
        vendor_id, product_id: four hex digits each.
        maker, product: in words.
        serial: the serial number.
        channel: which of its ports: number of the interface, and of the port there.
    """

    vendor_id: str
    product_id: str
    maker: str
    product: str
    serial: str
    channel: str


class FoundPort(NamedTuple):
    """A serial port of this machine.

    Attributes:
        device: the kernel's path, `/dev/ttyUSB0`.
        name: the path to configure: one that stays the same, where there is one.
        by_id, by_path, aliases: all other paths of it, by what made them.
        usb: what the adapter says of itself; None: the port is no USB adapter.
        driver: of the kernel.
        twins: how many adapters call themselves the same as this one, itself included.
        group: the group it belongs to; empty if no group may open it.
        may_open: whether the user of this process may open it.
    """

    device: str
    name: str
    by_id: list[str]
    by_path: list[str]
    aliases: list[str]
    usb: Usb | None
    driver: str
    twins: int
    group: str
    may_open: bool

    @property
    def what(self) -> str:
        """What it is, in words. The words of a device are made printable."""
        if self.usb is None:
            return "UART of this machine"
        usb = self.usb
        words = " ".join(filter(None, (usb.maker, usb.product))) or "USB adapter"
        return "".join(one if one.isprintable() else "?" for one in words)


def find_ports(root: Path = ROOT) -> list[FoundPort]:
    """All ports with hardware behind them, and a path in /dev."""
    names = [name for name in _kernel_names(root) if (root / "dev" / name).exists()]
    usbs = {name: _usb(root, name) for name in names}
    twins = Counter(filter(None, usbs.values()))
    by_id, by_path = _links(root, "dev/serial/by-id"), _links(root, "dev/serial/by-path")
    aliases = _links(root, "dev")
    found = []
    for name in names:
        usb = usbs[name]
        port = FoundPort(
            f"/dev/{name}",
            "",
            by_id.get(name, []),
            by_path.get(name, []),
            aliases.get(name, []),
            usb,
            _driver(root, name),
            twins[usb] if usb else 1,
            _group(root / "dev" / name),
            os.access(root / "dev" / name, os.R_OK | os.W_OK),
        )
        found.append(port._replace(name=_best_name(port)))
    return found


def without_path(root: Path = ROOT) -> list[str]:
    """Ports that the kernel has and /dev has not, as in a container that was not given them."""
    return [name for name in _kernel_names(root) if not (root / "dev" / name).exists()]


def better_name(port: str, root: Path = ROOT) -> str:
    """The path to configure instead of `port`, which may lead to another adapter tomorrow; empty if there is none."""
    for found in find_ports(root):
        unsteady = [found.device, *(found.by_id if found.twins > 1 else [])]
        if found.usb and port in unsteady and found.name not in unsteady:
            return found.name
    return ""


def _best_name(port: FoundPort) -> str:
    if port.usb is None:
        return next(
            iter(port.aliases), port.device
        )  # such as serial0, whichever UART a Raspberry Pi uses for it
    # udev gives one of several twins the link in by-id, and not always the same one.
    steady = [*([] if port.twins > 1 else port.by_id), *port.by_path, *port.aliases]
    return next(iter(steady), port.device)


def _kernel_names(root: Path) -> list[str]:
    """Terminals with a device behind them, in the order of their numbers."""
    folder = root / "sys/class/tty"
    try:
        names = [one.name for one in folder.iterdir() if (one / "device").exists()]
    except OSError:
        return []
    names = [name for name in names if _text(folder / name / "type") != _ABSENT]
    return sorted(names, key=lambda name: (re.sub(r"\d+", "", name), len(name), name))


def _ancestry(root: Path, name: str) -> Iterator[Path]:
    """The device of a terminal and all that it is part of, from the inside out."""
    device = (root / "sys/class/tty" / name / "device").resolve()
    top = (root / "sys").resolve()
    yield from (one for one in (device, *device.parents) if one.is_relative_to(top))


def _usb(root: Path, name: str) -> Usb | None:
    interface, port = "", ""
    for folder in _ancestry(root, name):
        port = port or _text(folder / "port_number")
        interface = interface or _text(folder / "bInterfaceNumber")
        if vendor := _text(folder / "idVendor"):
            product_id, maker, product, serial = (
                _text(folder / what) for what in ("idProduct", "manufacturer", "product", "serial")
            )
            return Usb(vendor, product_id, maker, product, serial, f"{interface}.{port}")
    return None


def _driver(root: Path, name: str) -> str:
    for folder in _ancestry(root, name):
        try:
            driver = (folder / "driver").readlink().name
        except OSError:
            continue
        if driver not in ("port", "ctrl"):  # what newer kernels put between a UART and its driver
            return driver
    return ""


def _links(root: Path, folder: str) -> dict[str, list[str]]:
    """By name of the terminal, the links in a folder that lead to it."""
    found: dict[str, list[str]] = {}
    try:
        links = sorted(one for one in (root / folder).iterdir() if one.is_symlink())
    except OSError:
        return {}
    for link in links:
        found.setdefault(link.readlink().name, []).append(f"/{folder}/{link.name}")
    return found


def _group(path: Path) -> str:
    status = path.stat()
    if ~status.st_mode & (stat.S_IRGRP | stat.S_IWGRP):
        return ""
    try:
        return grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        return str(status.st_gid)


def _text(path: Path) -> str:
    """The first line of a small file; empty if it cannot be read."""
    try:
        return path.read_text(errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""
