"""Wi-Fi: is the signal strong enough, and does it sleep? Without Wi-Fi nothing is said."""

from collections.abc import Iterator
from typing import Final

from gateway.cli.doctor.finding import Finding, ok, warning
from gateway.cli.doctor.machine import Machine

WEAK: Final = -75.0
"""dBm; from there on packets are lost every now and then, from -85 on most of the time."""

_SIGNAL = 3


def wifi(machine: Machine) -> Iterator[Finding]:
    """Each interface that is connected."""
    for line in machine.text("proc/net/wireless").splitlines()[2:]:
        name, _, rest = line.partition(":")
        words = rest.split()
        name = name.strip()
        if len(words) < _SIGNAL:
            continue
        signal = float(words[2].rstrip("."))
        if -256 < signal <= WEAK:  # noqa: PLR2004 - what drivers say that know nothing
            yield warning(
                "wifi weak",
                name,
                f"the signal is {signal:.0f} dBm, and should be above {WEAK:.0f} dBm",
                "move the access point or the gateway, put up an antenna, or use a cable",
            )
        else:
            yield ok(name, f"signal {signal:.0f} dBm")
        if "on" in (machine.run("iw", "dev", name, "get", "power_save") or "").split():
            yield warning(
                "wifi sleeps",
                name,
                "its power saving is on: answers are late by up to some 100 ms, and connections break with some drivers",
                f"sudo nmcli connection modify $(nmcli -g GENERAL.CONNECTION device show {name}) wifi.powersave 2, or: sudo iw dev {name} set power_save off",
            )


def blocked(machine: Machine) -> Iterator[Finding]:
    """Radio that is switched off, on a machine that has no other way to the network."""
    if len(machine.text("proc/net/route").splitlines()) > 1:
        return
    for one in sorted(machine.at("sys/class/rfkill").glob("rfkill*")):
        folder = f"sys/class/rfkill/{one.name}"
        off = [kind for kind in ("soft", "hard") if machine.text(f"{folder}/{kind}") == "1"]
        if machine.text(f"{folder}/type") == "wlan" and off:
            fix = (
                "sudo rfkill unblock wifi"
                if off == ["soft"]
                else "use the switch or key of this machine for radio"
            )
            yield warning(
                "wifi off", one.name, "Wi-Fi is switched off, and this machine has no route to anywhere", fix
            )
