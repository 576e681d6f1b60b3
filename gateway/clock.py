"""Time on a machine that starts without knowing it: a Raspberry Pi has no clock that runs while it is off.

Collecting never waits for the right time. Until the clock is known to be right, readings get the time since boot plus
an offset that is noted with their batch; once the clock was set, what is still unsent is corrected by the difference
of the offsets. Time since boot is CLOCK_BOOTTIME: no step of the clock moves it, and it goes on while asleep.
"""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from devices.reading import Quality, Reading
from gateway.wire import DeadLetter, flags_of, quality_of

_log = structlog.get_logger()

SECOND: Final = 1_000_000_000

STEP: Final = SECOND
"""A smaller difference, in nanoseconds, is no step: clocks are steered by less all the time."""

TIMESYNC: Final = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd makes it when it has set the clock; it goes away with the boot."""

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

_STA_UNSYNC: Final = 0x40  # linux/timex.h
_TIMEX_BYTES: Final = 256  # struct timex has 208
_TIMEX_STATUS: Final = slice(
    40, 44
)  # modes, padding, offset, freq, maxerror, esterror, then status: 64-bit Linux


class Unset(NamedTuple):
    """How a batch was given its times while the clock was not known to be right.

    Attributes:
        boot: id of that boot of the machine.
        offset: nanoseconds that were added to the time since boot.
    """

    boot: str
    offset: int


class Correction(NamedTuple):
    """What becomes of times that were given so.

    Attributes:
        delta: nanoseconds to add.
        flags: what every reading has to say about it.
    """

    delta: int
    flags: Quality


class Clock:
    """The time that readings get. Used from one event loop.

    Attributes:
        synchronised: whether the clock is known to be right; once it was in this boot, it stays so.
    """

    def __init__(
        self,
        *,
        trusted: bool = False,
        wall: Callable[[], int] = time.time_ns,
        synchronised: Callable[[], bool] | None = None,
    ) -> None:
        """`trusted`: something other than NTP keeps the clock right, so it is never doubted.

        `wall` gives nanoseconds since 1970 UTC as the machine has it; `synchronised` says whether that is right
        (default: by what the kernel and systemd-timesyncd say).
        """
        self._trusted = trusted
        self._wall = wall
        self._ask = synchronised or is_synchronised
        self._boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
        self._offset = wall() - since_boot()
        self.synchronised = trusted or self._ask()
        if not self.synchronised:
            _log.warning(
                "clock not synchronised",
                remedy="readings are marked clock_unset, and corrected once it is; if something other than NTP keeps "
                "this clock right, set trusted = true in [clock]",
            )

    def trust(self, *, trusted: bool) -> None:
        """Whether it is never to be doubted, from now on; then a new batch must begin."""
        if self._trusted and not trusted:
            self.synchronised, self._offset = self._ask(), self._wall() - since_boot()
        self._trusted = trusted
        self.adopt()

    def now(self) -> int:
        """Nanoseconds since 1970 UTC; while the clock is not known to be right, by the offset of mark()."""
        return self._wall() if self.synchronised else since_boot() + self._offset

    def mark(self) -> Unset | None:
        """What a batch that begins now has to remember; None if its times are right."""
        return None if self.synchronised else Unset(self._boot, self._offset)

    def adopt(self) -> bool:
        """Look whether the clock was set, and go by it. Whether mark() has changed: then a new batch must begin."""
        if self.synchronised:
            return False
        offset = self._wall() - since_boot()
        synchronised = self._trusted or self._ask()
        step = offset - self._offset
        if not synchronised and abs(step) < STEP:
            return False
        self.synchronised, self._offset = synchronised, offset
        _log.info("clock set", step_s=round(step / SECOND, 3), synchronised=synchronised)
        return True

    def correction(self, unset: Unset | None) -> Correction | None:
        """What to do with times that were given as `unset` says; None: nothing."""
        if unset is None:
            return None
        if unset.boot != self._boot:
            return Correction(0, Quality.CLOCK_UNSET)
        doubt = Quality.GOOD if self.synchronised else Quality.CLOCK_UNSET
        delta = self._offset - unset.offset
        if abs(delta) < STEP:
            return Correction(0, doubt) if doubt else None
        return Correction(delta, doubt | Quality.CLOCK_CORRECTED)


def correct(reading: Reading, correction: Correction) -> Reading:
    """`reading` with its time of receipt corrected, and its own time too unless a device with another clock gave it."""
    delta, flags = correction
    ours = abs(reading.time - reading.received) < STEP
    return Reading(
        reading.device,
        reading.sensor,
        reading.value,
        reading.time + delta if ours else reading.time,
        reading.source,
        reading.received + delta,
        reading.unit,
        reading.quality | flags,
    )


def correct_letter(letter: DeadLetter, correction: Correction) -> DeadLetter:
    """`letter` with its time of receipt corrected."""
    flags = flags_of(quality_of(letter.flags) | correction.flags)
    return msgspec.structs.replace(letter, received=letter.received + correction.delta, flags=flags)


def since_boot() -> int:
    """Nanoseconds since the machine was started, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def is_synchronised() -> bool:
    """Whether the machine's clock is right, by what the kernel (adjtimex) or systemd-timesyncd says."""
    return TIMESYNC.exists() or kernel_synchronised()


def kernel_synchronised() -> bool:
    """What the kernel alone says."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    if ctypes.CDLL(None).adjtimex(timex) < 0:
        return False
    return not int.from_bytes(timex.raw[_TIMEX_STATUS], "little") & _STA_UNSYNC
