"""Serial ports: whether each is there, the service may open it, and nobody else has it. None is opened."""

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from devices.serial_port.claims import Process, claims, probers, running
from devices.serial_port.ports import FoundPort, better_name, find_ports
from devices.serial_port.settings import SOCKET
from gateway.cli.doctor.finding import Finding, ok, problem, warning
from gateway.cli.doctor.here import Unit
from gateway.cli.doctor.machine import Machine
from gateway.cli.doctor.reach import PATIENCE, Unreachable, resolve
from gateway.cli.doctor.together import together
from gateway.cli.doctor.user import READ, WRITE, User
from gateway.config import GatewayConfig
from gateway.guard import group_name


def ports(config: GatewayConfig, machine: Machine, user: User, unit: Unit) -> Iterator[Finding]:
    """Each port of the configuration."""
    serial = _serial(config)
    if not serial:
        return
    processes, found = running(machine.root), find_ports(machine.root)
    for name, port in serial.items():
        if port.startswith("socket://"):
            continue
        looked_at = f"source {name}, {port}"
        real = _real(machine, port)
        if not real.exists():
            yield _absent(looked_at, name, [one.name for one in found])
            continue
        findings = [
            *_stable(looked_at, name, port, machine),
            *_allowed(looked_at, real, user),
            *_device_allow(looked_at, real, unit),
        ]
        device = "/" + str(real.relative_to(machine.root.resolve()))
        known = FoundPort(device, device, [], [], [], None, "", 1, "", may_open=True)
        findings += [
            problem("port in use", looked_at, f"{claim.who} uses {device} too", claim.todo)
            for claim in claims(known, _seeing(processes, device, machine), machine.root)
            if claim.todo
        ]
        yield from findings or [ok(f"source {name}", f"{port} is there, and {user.name} may open it")]
    usb = [
        one
        for one in found
        if one.usb and {one.device, *one.by_id, *one.by_path, *one.aliases} & set(serial.values())
    ]
    for claim in probers(usb, processes, machine.root) if usb else []:
        yield warning("port probed", ", ".join(one.device for one in usb), claim.who, claim.todo)


def servers(config: GatewayConfig) -> Iterator[Finding]:
    """Serial servers on the network: has each an address? A connection would take the line from the gateway."""
    found = {name: SOCKET.match(port) for name, port in _serial(config).items()}
    addresses = {name: (one["host"], int(one["port"])) for name, one in found.items() if one}
    works = [partial(_server, name, *address) for name, address in addresses.items()]
    for one in together(works, PATIENCE + 1):
        yield from one.items


def _server(name: str, host: str, port: int) -> Iterator[Finding]:
    try:
        addresses = resolve(host, port)
    except Unreachable as error:
        fix = f"correct sources.{name}.port, or the name server of this machine: getent hosts {host}"
        yield problem("name unknown", f"source {name}", f"the host {host} {error}", fix)
    else:
        yield ok(f"source {name}", f"{host} is {addresses[0]}")


def _serial(config: GatewayConfig) -> dict[str, str]:
    tables: dict[str, dict[str, Any]] = config.sources
    return {name: str(one.get("port", "")) for name, one in tables.items() if one.get("kind") == "serial"}


def _real(machine: Machine, port: str) -> Path:
    """The device behind all links."""
    return Path(os.path.realpath(machine.at(port)))


def _seeing(processes: list[Process], device: str, machine: Machine) -> list[Process]:
    """The same, without ports of containers: a pseudo-terminal of theirs may bear the name of one of ours."""
    if not device.startswith("/dev/pts/"):
        return processes
    here = machine.at(device).stat()

    def is_it(descriptor: Path) -> bool:
        with contextlib.suppress(OSError):
            return os.path.samestat(descriptor.stat(), here)
        return False

    found = []
    for one in processes:
        opened = one.opened
        if opened and device in opened:
            descriptors = machine.at(f"proc/{one.pid}/fd")
            with contextlib.suppress(OSError):
                opened = opened if any(is_it(each) for each in descriptors.iterdir()) else []
        found.append(one._replace(opened=opened))
    return found


def _absent(looked_at: str, name: str, others: list[str]) -> Finding:
    there = f"; there are {', '.join(others)}" if others else "; this machine has no serial port at all"
    fix = (
        "plug the adapter in (`sudo dmesg | tail` tells what became of it), or set "
        f"sources.{name}.port to a name that `gatewayctl devices discover` shows"
    )
    return problem("port absent", looked_at, f"there is no such port{there}", fix)


def _stable(looked_at: str, name: str, port: str, machine: Machine) -> Iterator[Finding]:
    if better := better_name(port, machine.root):
        yield warning(
            "port may be another one tomorrow",
            looked_at,
            "the kernel numbers adapters as it meets them, so this name may lead to another adapter after the next start",
            f'set sources.{name}.port = "{better}"',
        )


def _allowed(looked_at: str, real: Path, user: User) -> Iterator[Finding]:
    if user.may(real, READ | WRITE):
        return
    found = real.stat()
    group = group_name(found.st_gid)
    by_group = found.st_mode >> 3 & (READ | WRITE) == READ | WRITE and found.st_gid != 0
    fix = (
        f"sudo usermod -aG {group} {user.name} && sudo systemctl restart gateway"
        if by_group
        else f"a udev rule has to give it to a group of {user.name}: "
        f'SUBSYSTEM=="tty", KERNEL=="{real.name}", GROUP="dialout", MODE="0660" in /etc/udev/rules.d/99-gateway.rules'
    )
    rights = f"it belongs to group {group}, with mode {found.st_mode & 0o777:03o}"
    yield problem(
        "port forbidden",
        looked_at,
        f"user {user.name}, as which the service runs, may not open it: {rights}",
        fix,
    )


def _device_allow(looked_at: str, real: Path, unit: Unit) -> Iterator[Finding]:
    """What the unit lets through: a list of `char-ttyUSB rw`, or of paths."""
    allowed = unit.properties.get("DeviceAllow", "").split()
    if unit.properties.get("DevicePolicy") not in {"closed", "strict"}:
        return
    names = [one.removeprefix("char-") for one in allowed if one.startswith("char-")]
    if str(real) in allowed or any(real.name.startswith(name) for name in names):
        return
    yield problem(
        "port kept from the service",
        looked_at,
        f"{unit.name} lets the service open {', '.join(names) or 'no ports'}, and not {real.name}",
        f"sudo systemctl edit {unit.name}: [Service] DeviceAllow={real} rw",
    )
