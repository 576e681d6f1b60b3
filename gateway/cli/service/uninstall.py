"""Stop the services that `gatewayctl service install` has installed, and remove them. The program itself stays.

Configuration and the readings that wait for Kafka are kept, and found again by the next installation; what waits is told.
--purge deletes them too, with the user and group gateway, and says what was never delivered. A folder named by
gateway.state_dir stays in any case.

Exit code: 0 removed, or nothing was there; 1 a step failed, 2 it is not this command's to remove.

examples:
  sudo gatewayctl service uninstall
  gatewayctl service uninstall --purge --dry-run
"""

import argparse
import json
import pwd
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from gateway.cli.service import machine
from gateway.cli.service.files import CONFIG, PORTS, RIGHTS, SERVICES, UNITS, is_ours
from gateway.cli.service.machine import ServiceError, Step
from gateway.cli.service.machine import run as call

STATE: Final = Path("/var/lib")
OF_STATE: Final = ("gateway", "gateway@*", "gateway-detect")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    parser.add_argument(
        "--purge", action="store_true", help="delete configuration, unsent readings, user and group as well"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done; needs no root")
    parser.add_argument("--json", action="store_true", help="print the steps as one JSON object")


def run(options: argparse.Namespace) -> int:
    """Find out what is to be done, and do it."""
    try:
        machine.check_system()
        if not options.dry_run:
            machine.check_rights()
        waiting = list(_unsent()) if options.dry_run else []
        found = list(_steps(waiting, purge=options.purge))
    except (OSError, ServiceError) as error:
        sys.stderr.write(f"gatewayctl service uninstall: {error}\n")
        return 2
    try:
        machine.perform(found, dry=options.dry_run, quiet=options.json)
    except ServiceError as error:
        sys.stderr.write(f"gatewayctl service uninstall: {error}\n")
        return 1
    if options.json:
        report = {"done": not options.dry_run, "steps": [one.what for one in found], "unsent": waiting}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    elif not found:
        sys.stdout.write("No service was installed by this command: nothing to do.\n")
    else:
        sys.stderr.writelines(
            f"{line}\n" for line in _about(waiting, purge=options.purge, dry=options.dry_run)
        )
        if not options.purge and not options.dry_run:
            sys.stdout.write(f"Kept: {CONFIG}, what waits in {STATE / 'gateway'}, and the user gateway.\n")
    return 0


def _steps(waiting: list[str], *, purge: bool) -> Iterator[Step]:
    """What there is to do, in this order; notes in `waiting`, before it is deleted, what Kafka does not have."""
    files = [one for one in (*(UNITS / name for name in SERVICES), RIGHTS, PORTS) if is_ours(one)]
    if files:
        names = sorted({one.name for one in _links()} | {one.name for one in machine.running()})
        if names:
            yield Step(f"stop and disable {', '.join(names)}", partial(_stop, names))
        yield from (Step(f"remove {one}", partial(machine.remove, [one])) for one in files)
        if machine.booted():
            yield Step("have systemd read the units", _forget)
    data = [CONFIG] if CONFIG.exists() else []
    data += [one for name in OF_STATE for one in sorted(STATE.glob(name))]
    if files or (purge and data):
        yield Step("look for what Kafka does not have", lambda: waiting.extend(_unsent()))
    if purge:
        yield from (Step(f"delete {one}", partial(machine.remove, [one])) for one in data)
        with suppress(KeyError):
            if pwd.getpwnam(machine.USER).pw_dir == str(STATE / "gateway"):  # not somebody else of that name
                yield Step("remove the user and group gateway", partial(call, "userdel", machine.USER))


def _links() -> Iterator[Path]:
    """What starts them with the machine."""
    for name in (*SERVICES[:2], "gateway@*.service"):
        yield from UNITS.glob(f"*.wants/{name}")


def _stop(names: Sequence[str]) -> None:
    call("systemctl", "disable", *names)
    if machine.booted():
        call("systemctl", "stop", *names)


def _forget() -> None:
    call("systemctl", "daemon-reload")
    with suppress(ServiceError):  # none of them has failed
        call("systemctl", "reset-failed", *SERVICES[:2], "gateway@*.service")


def _unsent() -> Iterator[str]:
    import gateway.plain_structlog  # noqa: F401, PLC0415 - before all that import structlog: quicker
    from gateway.cli.spool_here import unsent  # noqa: PLC0415 - not for --help

    yield from unsent()


def _about(waiting: Sequence[str], *, purge: bool, dry: bool) -> Iterator[str]:
    """The words of the package."""
    if waiting and purge:
        yield f"{'To be deleted' if dry else 'Deleted'} with the service, and never delivered to Kafka:"
    yield from waiting
    if waiting and not purge:
        yield "They are kept, and delivered if the service is installed again; --purge deletes them."
