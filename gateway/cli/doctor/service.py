"""The service: whether it runs and for how long, whether it may be asked, and what it says itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gateway.cli.doctor.finding import Finding, note, ok, problem, warning
from gateway.cli.doctor.here import Unit
from gateway.cli.doctor.machine import Machine

RESTARTS: Final = 3
CODES: Final = {
    "2": ("its configuration is refused", "gatewayctl config check"),
    "3": ("another gateway delivers under the same id", "give each gateway an id of its own: gateway.id"),
}


def unit(found: Unit, status: dict[str, Any] | None) -> Iterator[Finding]:
    """As systemd has it."""
    said = found.properties
    if not found.there:
        if status is None:
            yield note(
                "no service",
                found.name,
                "systemd knows no such service here",
                "docs/install.md says how to install it",
            )
        return
    if said.get("ActiveState") == "failed":
        code = said.get("ExecMainStatus", "")
        why, fix = CODES.get(
            code, (f"exit code {code}, {said.get('Result')}", f"journalctl -u {found.name} -n 50")
        )
        yield problem(
            "service failed",
            found.name,
            f"it has ended for good: {why}",
            f"{fix}; then sudo systemctl restart {found.name}",
        )
    elif said.get("ActiveState") not in {"active", "reloading"}:
        yield problem(
            "service stopped",
            found.name,
            f"it is {said.get('ActiveState')} ({said.get('SubState')})",
            f"sudo systemctl start {found.name}",
        )
    else:
        yield ok(found.name, said.get("SubState", "active"))
    restarts = int(said.get("NRestarts") or 0)
    if restarts >= RESTARTS:
        yield warning(
            "service restarts",
            found.name,
            f"systemd has restarted it {restarts} times since it was started",
            f"journalctl -u {found.name} -p warning -n 100",
        )
    if said.get("UnitFileState") == "disabled":
        yield warning(
            "service not enabled",
            found.name,
            "it does not start with the machine",
            f"sudo systemctl enable {found.name}",
        )
    if said.get("NeedDaemonReload") == "yes":
        yield warning(
            "unit changed",
            found.name,
            "its unit file has changed since systemd read it",
            f"sudo systemctl daemon-reload && sudo systemctl restart {found.name}",
        )


def control(socket: Path, status: dict[str, Any] | None, silence: str, found: Unit) -> Iterator[Finding]:
    """The control socket."""
    if status is not None:
        yield ok("control socket", "answers")
        return
    said, _, fix = silence.partition(": ")
    if "no permission" in silence:
        yield warning(
            "socket forbidden", str(socket), f"{said}, so what the daemon says was not looked at", fix
        )
    elif "left its socket" in silence:
        yield problem(
            "socket stale",
            str(socket),
            "gatewayd is not running; a dead one left this socket behind",
            f"sudo systemctl restart {found.name}",
        )
    elif "no gatewayd" in silence:
        yield problem(
            "daemon not running",
            str(socket),
            "nobody has made this socket: gatewayd does not run",
            f"sudo systemctl start {found.name}",
        )
    else:
        yield problem(
            "daemon mute",
            str(socket),
            silence,
            f"journalctl -u {found.name} -n 50; sudo systemctl restart {found.name}",
        )


def health(status: dict[str, Any] | None) -> Iterator[Finding]:
    """What the daemon finds amiss itself."""
    if status is None:
        return
    make = problem if status["health"] == "down" else warning
    for reason in status["reasons"]:
        found, _, fix = str(reason).rpartition("; ")
        yield make("health", "gatewayd says", found or fix, fix if found else "gatewayctl status tells more")
    if status["health"] == "healthy":
        yield ok("gatewayd", "healthy")


def journal(machine: Machine) -> Iterator[Finding]:
    """Whether logs outlive a restart of the machine."""
    if not machine.at("run/systemd/journal").exists():
        return
    if machine.at("var/log/journal").exists():
        yield ok("journal", "kept over restarts")
    else:
        yield note(
            "journal in memory",
            "journal",
            "what is logged is lost when the machine restarts, which spares the card",
            "sudo mkdir /var/log/journal && sudo systemctl restart systemd-journald, to keep it",
        )
