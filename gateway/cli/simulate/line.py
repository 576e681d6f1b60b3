"""Writes lines into a pseudo-terminal that a serial source can open: a cable inside this machine."""

import array
import fcntl
import os
import pty
import select
import termios
import time
import tty
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from devices.simulator.payloads import Payload
from gateway.cli.simulate.carrier import Outgoing
from gateway.cli.simulate.trouble import SimulateError

SETTLED: Final = 0.3
"""Seconds from somebody's opening the port until it is written to: many programs throw away what they find there."""

_EMPTY: Final = 0.05
"""Seconds for which the kernel must have held nothing back for all to have been read: it moves bytes in steps of its own."""

UNREAD: Final = 65_536
"""Bytes held back for a reader that does not read. Beyond, whole lines are left out, as a real device would."""


PATIENCE: Final = 1.0
"""Seconds without anybody reading, after which at the end none is waited for."""

_KERNEL: Final = 131_072
"""More bytes than the kernel ever holds on their way through a pseudo-terminal: it takes 22,000, measured."""


class PtyCarrier:
    """See Carrier. What was read at the other end is confirmed; while nobody has the port open, nothing is sent.

    Args:
        link: a stable name that leads to the port, as /dev/serial/by-id has them; None: there is none. It must not
            exist, unless it is a symbolic link that leads nowhere: one whose maker was killed left it behind.

    Attributes:
        port: what the serial source opens.

    Raises:
        SimulateError: the link cannot be made; come_back() raises it as well.
    """

    def __init__(self, link: Path | None = None) -> None:
        self.patience = PATIENCE
        self.repeated = self.lost = 0
        self.port = ""
        self._link = link
        self._here = -1
        self._opened = 0.0
        self._outgoing = Outgoing()
        self._accepted = self._written = 0
        self._empty: tuple[int, float] | None = None
        self._unread: deque[int] = deque()
        self._given_up = 0
        self._plug_in()
        self.place = str(link or self.port)

    def ready(self) -> bool:
        """See Carrier. Somebody has the port open."""
        return self._opened > 0 and time.monotonic() - self._opened >= SETTLED

    def room(self) -> int:
        """See Carrier. Devices do not wait: what nobody reads is left out."""
        return 1_000_000

    def send(self, payload: Payload, pause: float = 0.0) -> int:
        """See Carrier."""
        if not self._opened or len(self._outgoing) >= UNREAD:
            return 0
        line = payload.data + b"\n"
        self._outgoing.add(line, pause)
        self._accepted += len(line)
        self._unread.append(self._accepted)
        return len(line)

    def pump(self) -> None:
        """See Carrier."""
        if self._here < 0 or not self._look():
            return
        with suppress(BlockingIOError):
            while ready := self._outgoing.ready():
                count = os.write(self._here, ready)
                del ready[:count]
                self._written += count
        if self._unread:
            self._confirm()

    def waiting(self) -> int:
        """See Carrier."""
        return self._given_up + len(self._unread)

    def leave(self) -> None:
        """See Carrier. The name goes as well, as with a plug that is pulled."""
        if self._here >= 0:
            self._unlink()
            os.close(self._here)
            self._here = -1
            self._forget()

    def come_back(self) -> None:
        """See Carrier."""
        self._plug_in()

    def close(self) -> None:
        """See Carrier."""
        self.leave()

    def _look(self) -> bool:
        """Whether somebody has the port open: the kernel calls it hung up while nobody has."""
        poll = select.poll()
        poll.register(self._here, 0)
        if poll.poll(0):
            if self._opened:
                self._forget()
            return False
        self._opened = self._opened or time.monotonic()
        return True

    def _forget(self) -> None:
        """What was not read will not be."""
        self._given_up += len(self._unread)
        self._unread.clear()
        self._outgoing.clear()
        self._written, self._empty, self._opened = self._accepted, None, 0.0

    def _confirm(self) -> None:
        """Find out what was read. The kernel tells the last 4 KB only; so what is certain is a line that stays empty."""
        inside, now = array.array("i", [0]), time.monotonic()
        there = os.open(self.port, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            fcntl.ioctl(there, termios.FIONREAD, inside)
        finally:
            os.close(there)
        read = self._written - _KERNEL
        if inside[0]:
            self._empty = None
        elif self._empty is None:
            self._empty = self._written, now
        elif now - self._empty[1] >= _EMPTY:
            read = max(read, self._empty[0])
            self._empty = self._written, now
        while self._unread and self._unread[0] <= read:
            self._unread.popleft()

    def _unlink(self) -> None:
        """Take the link away, unless it is somebody else's by now."""
        with suppress(OSError):
            if self._link is not None and str(self._link.readlink()) == self.port:
                self._link.unlink()

    def _plug_in(self) -> None:
        # The far end is closed again, or nobody could tell whether another program has it open.
        self._here, there = pty.openpty()
        tty.setraw(there)
        os.set_blocking(self._here, False)
        self.port = os.ttyname(there)
        os.close(there)
        if self._link is None:
            return
        try:
            if self._link.is_symlink():
                self._check_free(self._link)
                self._link.unlink()
            self._link.symlink_to(self.port)
        except OSError as error:
            self._give_up()
            raise SimulateError(
                f"--link: cannot make {self._link}: {error.strerror}; name a path that is free, in a folder that "
                "may be written"
            ) from error

    def _check_free(self, link: Path) -> None:
        if link.exists():
            self._give_up()
            raise SimulateError(
                f"--link: {link} leads to {link.readlink()}, which is there: the port of another simulation, perhaps; "
                "end that, name a path that is free, or remove the link"
            )

    def _give_up(self) -> None:
        os.close(self._here)
        self._here = -1
