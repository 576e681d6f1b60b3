"""Looks at the serial ports of this machine, for `gatewayctl devices discover`."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from devices.serial_port.claims import Claim, claims, probers, running
from devices.serial_port.ports import ROOT, FoundPort, find_ports, without_path

ALLOWED_BY_UNIT: Final = ("ttyUSB", "ttyACM", "ttyAMA")
"""What DeviceAllow= in systemd/gateway.service lets through."""

NONE_FOUND: Final = """no serial port found
  - a USB adapter: is it plugged in, and does its cable carry data? `lsusb` must list it; `sudo dmesg` tells what became of it
  - a Raspberry Pi's own port: raspi-config, Interface Options, Serial Port: hardware on, login shell off; then reboot
  - a container or virtual machine: its host has to pass the port in
"""


def show(*, as_json: bool, root: Path = ROOT) -> int:
    """Look, and print; returns the exit code. `root` is where /dev, /proc and /sys are."""
    report = discover(root)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(lines(report)) + "\n")
    return 0 if report["ports"] else 1


def discover(root: Path = ROOT) -> dict[str, Any]:
    """All that is found, as it is printed with --json."""
    ports = find_ports(root)
    processes = running(root)
    return {
        "ports": [
            _entry(number, port, claims(port, processes, root)) for number, port in enumerate(ports, 1)
        ],
        "reach_for_ports": [claim._asdict() for claim in probers(ports, processes, root)],
        "without_path": without_path(root),
        "processes_not_seen": sum(one.opened is None for one in processes),
    }


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report for the eye."""
    if not report["ports"]:
        yield from NONE_FOUND.splitlines()
    for port in report["ports"]:
        yield f"{port['device']}   {port['what']}"
        yield from (f"  {name:<13} {text}" for name, text in _facts(port))
        yield ""
        yield from (f"    {line}" for line in port["snippet"].splitlines())
        yield ""
    for claim in report["reach_for_ports"]:
        yield f"note: {claim['who']}"
        yield f"      {claim['todo']}"
    if report["without_path"]:
        names = ", ".join(report["without_path"])
        yield f"note: the kernel has {names}, but /dev has not: a container must be given them (docker run --device)"
    if report["ports"] and report["processes_not_seen"]:
        yield "note: what programs of other users have open can be seen by root only: sudo gatewayctl devices discover"


def _facts(port: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "configure as", port["port"]
    if usb := port["usb"]:
        serial = f"serial number {_printable(usb['serial'])}" if usb["serial"] else "no serial number"
        yield "is", f"USB {usb['vendor_id']}:{usb['product_id']}, {serial}, driver {port['driver']}"
    elif port["driver"]:
        yield "is", f"driver {port['driver']}"
    for claim in port["used_by"]:
        yield "used by", claim["who"]
        if claim["todo"]:
            yield "  to do", claim["todo"]
    for hint in port["hints"]:
        yield "note", hint


def _entry(number: int, port: FoundPort, used_by: Sequence[Claim]) -> dict[str, Any]:
    return {
        "device": port.device,
        "port": port.name,
        "what": port.what,
        "usb": port.usb and port.usb._asdict(),
        "driver": port.driver,
        "by_id": port.by_id,
        "by_path": port.by_path,
        "aliases": port.aliases,
        "may_open": port.may_open,
        "used_by": [claim._asdict() for claim in used_by],
        "hints": list(_hints(port)),
        "snippet": _snippet(number, port),
    }


def _hints(port: FoundPort) -> Iterator[str]:
    if port.twins > 1:
        yield (
            f"{port.twins} adapters call themselves the same, so /dev/serial/by-id can name only one of them: the name in "
            "by-path is that of the socket, so leave each one where it is"
        )
    elif port.usb and port.by_id and not port.usb.serial:
        yield (
            "it has no serial number: a second one of its kind would have the same name in /dev/serial/by-id; with two of "
            "them use the names in by-path"
        )
    if port.usb and port.name == port.device:
        yield "it has no stable name, and another adapter may have this one tomorrow: is udev running?"
    if not port.may_open:
        todo = (
            f"sudo usermod -aG {port.group} USER, and log in again"
            if port.group not in ("", "root")
            else "a udev rule has to give it to the group dialout"
        )
        yield f"you may not open it: {todo} (the service is in the group dialout)"
    if not port.device.removeprefix("/dev/").startswith(ALLOWED_BY_UNIT):
        yield (
            f"the service may not open ports of this name: sudo systemctl edit gateway, [Service] DeviceAllow={port.device} rw"
        )


def _snippet(number: int, port: FoundPort) -> str:
    """What to add to gateway.toml. A JSON string of printable characters is one of TOML as well."""
    path = json.dumps(port.name, ensure_ascii=False)
    return (
        f'[sources.line-{number}]\nkind = "serial"\nport = {path}\n'
        "baud = 9600  # as the device sends: see its manual\n"
    )


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)
