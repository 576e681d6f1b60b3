"""The clock: whether it is right, what sets it, and whether it runs while the machine is off."""

import time
from collections.abc import Iterator
from typing import Final

from devices.serial_port.claims import running
from gateway.cli.doctor.finding import Finding, note, ok, problem, warning
from gateway.cli.doctor.machine import Machine
from gateway.config import GatewayConfig

PROGRAMS: Final = ("systemd-timesyn", "chronyd", "ntpd", "openntpd", "ntpd-rs", "ptp4l")
"""What sets clocks, as the kernel has their names: 15 characters."""

TIMESYNC: Final = "run/systemd/timesync/synchronized"
OLDEST: Final = 1_735_689_600.0
"""Seconds since 1970 at which 2025 began: no clock that is right shows an earlier time."""


def clock(config: GatewayConfig, machine: Machine, now: float | None = None) -> Iterator[Finding]:
    """`now` is what the clock shows, in seconds since 1970."""
    now = time.time() if now is None else now
    setters = sorted({one.program for one in running(machine.root) if one.program in PROGRAMS})
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    start = (
        f"{', '.join(setters)} runs: does it reach a time server (timedatectl timesync-status, chronyc sources), is UDP port 123 let through?"
        if setters
        else "sudo apt install systemd-timesyncd && sudo timedatectl set-ntp true"
    )
    synchronised = machine.at(TIMESYNC).exists() or machine.kernel_synchronised()
    if now < OLDEST:
        yield problem("clock far off", "clock", f"it shows {shown}, which cannot be", start)
    elif config.clock.trusted:
        yield ok("clock", "trusted, as the configuration says")
    elif not synchronised:
        yield warning(
            "clock not synchronised",
            "clock",
            f"it shows {shown}, and nothing has set it since the start of the machine: readings are marked clock_unset",
            f"{start}; or set clock.trusted = true if something else keeps it right",
        )
    else:
        yield ok("clock", "synchronised")
    if machine.at("proc/device-tree/model").exists() and not any(machine.at("sys/class/rtc").glob("rtc*")):
        yield note(
            "no clock while off",
            "clock",
            "this board has no clock that runs while it is off: after each start readings are marked until a time server answers",
            "a battery-backed clock (Pi 5: a battery at J5; others: a DS3231 with dtoverlay=i2c-rtc,ds3231)",
        )
