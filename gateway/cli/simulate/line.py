"""Writes lines into a pseudo-terminal that a serial source can open: a cable inside this machine."""

import array
import fcntl
import os
import pty
import termios
import tty
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from devices.simulator.payloads import Payload
from gateway.cli.simulate.carrier import Outgoing
from gateway.cli.simulate.trouble import SimulateError

UNREAD: Final = 65_536
"""Bytes held back for a reader that does not read. Beyond, whole lines are left out, as a real device would."""


PATIENCE: Final = 1.0
"""Seconds without anybody reading, after which at the end none is waited for."""

_KERNEL: Final = 131_072
"""More bytes than the kernel ever holds on their way through a pseudo-terminal: it takes 22,000, measured."""


class PtyCarrier:
    """See Carrier. What was read at the other end is confirmed.

    Args:
        link: a stable name that leads to the port, as /dev/serial/by-id has them; None: there is none. It must not
            exist, unless it is a symbolic link.

    Attributes:
        port: what the serial source opens.

    Raises:
        SimulateError: the link cannot be made.
    """

    def __init__(self, link: Path | None = None) -> None:
        self.patience = PATIENCE
        self.repeated = self.lost = 0
        self.port = ""
        self._link = link
        self._ends: tuple[int, int] | None = None
        self._outgoing = Outgoing()
        self._accepted = self._written = self._empty_at = 0
        self._unread: deque[int] = deque()
        self._given_up = 0
        self._plug_in()
        self.place = str(link or self.port)

    def room(self) -> int:
        """See Carrier. Devices do not wait: what nobody reads is left out."""
        return 1_000_000

    def send(self, payload: Payload, pause: float = 0.0) -> int:
        """See Carrier."""
        if self._ends is None or len(self._outgoing) >= UNREAD:
            return 0
        line = payload.data + b"\n"
        self._outgoing.add(line, pause)
        self._accepted += len(line)
        self._unread.append(self._accepted)
        return len(line)

    def pump(self) -> None:
        """See Carrier."""
        if self._ends is None:
            return
        here, there = self._ends
        with suppress(BlockingIOError):
            while ready := self._outgoing.ready():
                count = os.write(here, ready)
                del ready[:count]
                self._written += count
        self._confirm(there)

    def waiting(self) -> int:
        """See Carrier."""
        return self._given_up + len(self._unread)

    def leave(self) -> None:
        """See Carrier. The name goes as well, as with a plug that is pulled."""
        if self._ends is not None:
            if self._link is not None:
                self._link.unlink(missing_ok=True)
            for end in self._ends:
                os.close(end)
            self._ends = None
            self._outgoing.clear()
            self._given_up += len(self._unread)
            self._unread.clear()
            self._written = self._accepted
            self._empty_at = 0

    def come_back(self) -> None:
        """See Carrier."""
        self._plug_in()

    def close(self) -> None:
        """See Carrier."""
        self.leave()

    def _confirm(self, there: int) -> None:
        """Find out what was read. The kernel tells the last 4 KB only; so what is certain is an empty line, seen twice."""
        inside = array.array("i", [0])
        fcntl.ioctl(there, termios.FIONREAD, inside)
        read = self._written - _KERNEL
        if inside[0]:
            self._empty_at = 0
        else:
            read = max(read, self._empty_at)
            self._empty_at = self._written
        while self._unread and self._unread[0] <= read:
            self._unread.popleft()

    def _plug_in(self) -> None:
        # The far end stays open here too: so the line is not hung up before a gateway opens it, nor raw too late.
        here, there = pty.openpty()
        tty.setraw(there)
        os.set_blocking(here, False)
        self._ends = here, there
        self.port = os.ttyname(there)
        if self._link is None:
            return
        try:
            if self._link.is_symlink():
                self._link.unlink()
            self._link.symlink_to(self.port)
        except OSError as error:
            for end in self._ends:
                os.close(end)
            raise SimulateError(
                f"--link: cannot make {self._link}: {error.strerror}; name a path that is free, in a folder that "
                "may be written"
            ) from error
