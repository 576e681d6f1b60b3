"""Make the gateway a service of systemd that runs this installation; after an upgrade, bring the service up to date.

It makes the user and group gateway, /etc/gateway with a configuration (one that is there is left alone), and the units; it
enables and starts gateway.service, which without a configuration of yours has simulated devices. gateway-detect is
installed and not started. A second run changes nothing. After `pipx upgrade` run it again: it renews the units and restarts
what still runs the old version. docs/install.md tells more.

Exit code: 0 it is installed, 1 a step failed (run it again once that is mended), 2 it cannot be installed here.

examples:
  sudo PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install 'iot-edge-gateway[all]'; sudo gatewayctl service install
  gatewayctl service install --dry-run
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

from gateway.cli.service import machine
from gateway.cli.service.files import (
    CONFIG,
    DATA,
    FOLDERS,
    PORTS,
    RIGHTS,
    SERVICES,
    UNITS,
    Wanted,
    of_the_program,
    of_the_site,
)
from gateway.cli.service.machine import ServiceError, Step
from gateway.cli.service.machine import run as call


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done; needs no root")
    parser.add_argument("--json", action="store_true", help="print the steps as one JSON object")


def run(options: argparse.Namespace) -> int:
    """Find out what is to be done, and do it."""
    try:
        machine.check_system()
        machine.check_program()
        if not options.dry_run:
            machine.check_rights()
        found = steps()
    except (OSError, ServiceError) as error:
        sys.stderr.write(f"gatewayctl service install: {error}\n")
        return 2
    new = not (UNITS / SERVICES[0]).exists()
    try:
        machine.perform(found, dry=options.dry_run, quiet=options.json)
    except ServiceError as error:
        if new:  # or the next run would take what this one did not come to for done
            (UNITS / SERVICES[0]).unlink(missing_ok=True)
        sys.stderr.write(f"gatewayctl service install: {error}\n")
        return 1
    if options.json:
        report = {"done": not options.dry_run, "steps": [one.what for one in found]}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _after(found, dry=options.dry_run))
    return 0


def steps() -> list[Step]:
    """What there is to do, in this order; nothing where all is as it should be."""
    stale = [one for one in of_the_program(machine.scripts()) if not one.there()]
    missing = list(of_the_site())
    new = not (UNITS / SERVICES[0]).exists()
    return [
        *_user(),
        *(Step(f"make {one}", partial(one.mkdir, 0o755)) for one in FOLDERS if not one.is_dir()),
        *(Step(f"write {one.path}", partial(_write, one)) for one in (*missing, *stale)),
        *_rights(missing),
        *_started(stale, new=new),
    ]


def _user() -> Iterator[Step]:
    if not machine.user_is_there():
        yield Step(
            f"make the user and group {machine.USER}, who may open serial ports",
            partial(call, "systemd-sysusers", DATA / "sysusers.conf"),
        )


def _rights(missing: Sequence[Wanted]) -> Iterator[Step]:
    there = [CONFIG, *CONFIG.glob("*.toml"), *CONFIG.glob("*.d"), *CONFIG.glob("*.d/*.toml")]
    if missing or not CONFIG.is_dir() or not all(machine.has_rights(one) for one in there):
        yield Step(
            f"give {CONFIG} to root and the group {machine.USER} alone",
            partial(call, "systemd-tmpfiles", "--create", RIGHTS),
        )


def _started(stale: Sequence[Wanted], *, new: bool) -> Iterator[Step]:
    changed = {one.path for one in stale}
    booted = machine.booted()
    if booted and PORTS in changed:
        yield Step("have udev name on-board serial ports", _name_ports)
    if booted and (any(path.parent == UNITS for path in changed) or machine.units_are_stale()):
        yield Step("have systemd read the units", partial(call, "systemctl", "daemon-reload"))
    if new:
        yield Step(f"enable {SERVICES[0]}", partial(call, "systemctl", "enable", SERVICES[0]))
        if booted:
            yield Step(f"start {SERVICES[0]}", partial(call, "systemctl", "start", SERVICES[0]))
        return
    newest = machine.newest_change()
    for name, since in machine.running():
        if since < newest or machine.unit_of(name) in changed:
            yield Step(f"restart {name}", partial(call, "systemctl", "restart", name))


def _name_ports() -> None:
    with suppress(ServiceError):  # a machine without udev has no such names
        call("udevadm", "control", "--reload")
        call("udevadm", "trigger", "--subsystem-match=tty")


def _write(wanted: Wanted) -> None:
    """Whole, or not at all."""
    beside = wanted.path.with_name(f".{wanted.path.name}.new")
    wanted.path.parent.mkdir(0o755, parents=True, exist_ok=True)
    beside.write_text(wanted.text, encoding="utf-8")
    # The configuration is opened to the services a moment later, with its owner.
    beside.chmod(0o600 if wanted.path.suffix == ".toml" else 0o644)
    os.replace(beside, wanted.path)  # noqa: PTH105 - of a link it replaces the link


def _after(done: Sequence[Step], *, dry: bool) -> Iterator[str]:
    if not done:
        yield "All is as it should be: nothing to do."
    if dry:
        return
    if not machine.booted():
        yield "systemd does not run here: the service starts with the machine."
    elif SERVICES[0] not in {one.name for one in machine.running()}:
        yield "gateway.service does not run: sudo systemctl enable --now gateway"
    else:
        yield "gateway.service runs: gatewayctl status. What is to be read and where it goes, say in /etc/gateway/conf.d."
