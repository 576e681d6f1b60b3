"""What the driver of a real port hears and a pseudo-terminal has no ear for: the one seam for RS-485, DTR and RTS."""

import errno
import fcntl
import os
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

TIOCGRS485, TIOCSRS485 = 0x542E, 0x542F
_LINES = {termios.TIOCM_DTR: "DTR", termios.TIOCM_RTS: "RTS"}


class Uart:
    """A UART's answers to the system calls on a pseudo-terminal.

    Attributes:
        heard: what it was told, in order: `+DTR`, `-RTS`, `HUPCL off`, `RS-485 send=1 after=0 echo=0 delays=0,5`.
        control: the control flags that it was told last.
        lines, rs485: whether it has control lines, and does RS-485.
    """

    def __init__(self, *, lines: bool = True, rs485: bool = True) -> None:
        self.heard: list[str] = []
        self.control = 0
        self.lines = lines
        self.rs485 = rs485
        self._ioctl = fcntl.ioctl
        self._tcsetattr = termios.tcsetattr
        self._tcgetattr = termios.tcgetattr
        self._tcflush = termios.tcflush

    @contextmanager
    def listening(self) -> Iterator[None]:
        """It sits behind every port that is opened meanwhile."""
        with (
            mock.patch.object(fcntl, "ioctl", self._on_ioctl),
            mock.patch.object(termios, "tcsetattr", self._on_tcsetattr),
            mock.patch.object(termios, "tcgetattr", self._on_tcgetattr),
            mock.patch.object(termios, "tcflush", self._on_tcflush),
        ):
            yield

    def _on_ioctl(self, fd: int, request: int, argument: Any = 0, *rest: Any) -> Any:
        if request in (termios.TIOCMBIS, termios.TIOCMBIC):
            self._need(self.lines)
            up = "+" if request == termios.TIOCMBIS else "-"
            self.heard.append(up + _LINES[struct.unpack("I", argument)[0]])
        elif request == TIOCGRS485:
            self._need(self.rs485)
        elif request == TIOCSRS485:
            self._need(self.rs485)
            flags, before, after = struct.unpack_from("3I", argument)
            send, after_send, echo = (flags >> bit & 1 for bit in (1, 2, 4))
            assert flags & 1, "not enabled"
            self.heard.append(f"RS-485 send={send} after={after_send} echo={echo} delays={before},{after}")
        else:
            return self._ioctl(fd, request, argument, *rest)
        return 0

    def _on_tcsetattr(self, fd: int, when: int, attributes: list[Any]) -> None:
        if self._on_tcgetattr(fd)[2] & termios.HUPCL and not attributes[2] & termios.HUPCL:
            self.heard.append("HUPCL off")
        self._tcsetattr(fd, when, attributes)
        self.control = attributes[2]

    def _on_tcgetattr(self, fd: int) -> list[Any]:
        attributes = self._tcgetattr(fd)
        attributes[2] = self.control or attributes[2]  # a pseudo-terminal keeps 8N1 whatever it is told
        return attributes

    def _on_tcflush(self, fd: int, queue: int) -> None:
        self.heard.append({termios.TCIFLUSH: "drop input", termios.TCOFLUSH: "drop output"}[queue])
        self._tcflush(fd, queue)

    def _need(self, have: bool) -> None:  # noqa: FBT001 - what is asked for
        if not have:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
