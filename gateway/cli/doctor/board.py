"""The board: its power, its heat, its card, its memory. Where there is no such thing, nothing is said."""

from collections.abc import Iterator
from typing import Final

from gateway.cli.doctor.finding import Finding, note, ok, problem, warning
from gateway.cli.doctor.machine import Machine

THROTTLED: Final = "sys/devices/platform/soc/soc:firmware/get_throttled"
SUPPLY: Final = "use the power supply made for this board (5.1 V; 3 A for a Pi 4, 5 A for a Pi 5), a short thick cable, and a powered hub for USB devices"
COOL: Final = "give it a heat sink or a fan, and a case with openings"
HOT: Final = 80.0
"""Degrees Celsius at which a Raspberry Pi begins to slow down."""

WORN: Final = 9
"""Of 10 steps of 10 % of a card's life, the one at which to replace it."""

LITTLE: Final = 60_000
"""kB of memory below which the kernel begins to throw programs out of it."""

_UNDER_VOLTAGE, _CAPPED, _THROTTLED, _SOFT_LIMIT = 1, 2, 4, 8
_EVER = 16
"""The same bits, so many places higher: since the start."""


def power(machine: Machine) -> Iterator[Finding]:
    """Undervoltage and throttling of a Raspberry Pi."""
    bits = _throttled(machine)
    alarms = [
        one
        for one in machine.at("sys/class/hwmon").glob("hwmon*")
        if machine.text(f"sys/class/hwmon/{one.name}/name") == "rpi_volt"
        and machine.text(f"sys/class/hwmon/{one.name}/in0_lcrit_alarm") == "1"
    ]
    if bits is None and not alarms:
        return
    bits = bits or 0
    if alarms or bits & _UNDER_VOLTAGE:
        found = f"the supply voltage is below 4.63 V now{_as_said(bits)}: the board may stop, and the card lose what it writes"
        yield problem("undervoltage", "power", found, SUPPLY)
    elif bits >> _EVER & _UNDER_VOLTAGE:
        found = f"the supply voltage was below 4.63 V since the start of the machine{_as_said(bits)}"
        yield warning("undervoltage", "power", found, SUPPLY)
    if bits & (_CAPPED | _THROTTLED | _SOFT_LIMIT):
        yield warning("throttled", "processor", f"it is slowed down now{_as_said(bits)}", f"{COOL}; {SUPPLY}")
    if not bits and not alarms:
        yield ok("power", "never too low since the start")


def heat(machine: Machine) -> Iterator[Finding]:
    """The temperature of the processor."""
    zones = sorted(machine.at("sys/class/thermal").glob("thermal_zone*"))
    found = [machine.number(f"sys/class/thermal/{one.name}/temp") for one in zones]
    degrees = max((one / 1000 for one in found if one is not None), default=0.0)
    if degrees >= HOT:
        yield warning(
            "hot", "processor", f"it has {degrees:.0f} °C, and slows down from {HOT:.0f} °C on", COOL
        )
    elif degrees > 0:
        yield ok("processor", f"{degrees:.0f} °C")


def card(machine: Machine) -> Iterator[Finding]:
    """What eMMC and some cards say of their wear."""
    for device in sorted(machine.at("sys/block").glob("mmcblk*")):
        if not device.name.removeprefix("mmcblk").isdigit():
            continue  # a boot partition
        folder = f"sys/block/{device.name}/device"
        steps = [int(one, 0) for one in machine.text(f"{folder}/life_time").split() if one.startswith("0x")]
        spare = machine.number(f"{folder}/pre_eol_info") or 0
        life = max(steps, default=0)
        replace = "copy the card to a new one, while it can be read; take one for endurance (surveillance)"
        if spare >= 3:  # noqa: PLR2004 - urgent, by the standard
            yield problem(
                "card worn out", device.name, "it has used 90 % of its spare blocks (pre_eol_info 3)", replace
            )
        elif life >= WORN or spare == 2:  # noqa: PLR2004 - warning
            used = f"{min(life, 10) * 10} % of its life (life_time {life}, pre_eol_info {spare})"
            yield warning("card worn", device.name, f"it has used about {used}", replace)
        elif life:
            yield ok(device.name, f"about {life * 10} % of its life used")


def file_systems(machine: Machine) -> Iterator[Finding]:
    """Errors that ext4 has met."""
    for one in sorted(machine.at("sys/fs/ext4").glob("*")):
        count = machine.number(f"sys/fs/ext4/{one.name}/errors_count")
        if count:
            yield problem(
                "file system damaged",
                one.name,
                f"ext4 has met {count} errors on it",
                f"let it be repaired at the next start (fsck.mode=force fsck.repair=yes on the kernel's command line, reboot), and replace the card if it goes on: sudo tune2fs -l /dev/{one.name}",
            )


def memory(machine: Machine) -> Iterator[Finding]:
    """Memory that is left, and swap on a card."""
    lines = (line.partition(":") for line in machine.text("proc/meminfo").splitlines())
    sizes = {name: int(rest.split()[0]) for name, _, rest in lines if rest.split()}
    left = sizes.get("MemAvailable")
    if left is not None and left < LITTLE:
        yield warning(
            "memory short",
            "memory",
            f"{left / 1000:.0f} MB of {sizes.get('MemTotal', 0) / 1000:.0f} MB are left",
            "see what takes it: ps -eo rss,comm --sort=-rss | head; the gateway takes about 50 MB and spool.memory_bytes",
        )
    elif left is not None:
        yield ok("memory", f"{left / 1000:.0f} MB left")
    for line in machine.text("proc/swaps").splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and _on_card(words[0]):  # noqa: PLR2004 - proc(5)
            used = int(words[3]) / 1000
            yield note(
                "swap on the card",
                words[0],
                f"{used:.0f} MB of swap are in use on the card, which wears it",
                "sudo systemctl disable --now dphys-swapfile (or rpi-swap; zram takes its place)",
            )


def _on_card(name: str) -> bool:
    return name.startswith("/dev/mmcblk") or (not name.startswith("/dev/"))


def _throttled(machine: Machine) -> int | None:
    text = machine.text(THROTTLED)
    if not text:
        text = (machine.run("vcgencmd", "get_throttled") or "").strip().removeprefix("throttled=")
    try:
        return int(text, 16)
    except ValueError:
        return None


def _as_said(bits: int) -> str:
    return f" (get_throttled 0x{bits:x})" if bits else ""
