"""`gatewayctl status --watch`: the status again and again, in place on a terminal, one block behind the other elsewhere."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self

from gateway.cli.fitting import Room
from gateway.cli.status import lines

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # the alternate screen, no cursor, no line is broken
_LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_CLEAR_LINE: Final = "\x1b[K"
_CLEAR_REST: Final = "\x1b[J"


def watch(look: Callable[[], dict[str, Any]], seconds: float, *, as_json: bool) -> int:
    """Show what `look` gives every so many seconds, until Ctrl-C or SIGTERM; returns the exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C
    with contextlib.suppress(KeyboardInterrupt):
        if as_json:
            _print_on(lambda: json.dumps(look()) + "\n", seconds)
        elif not sys.stdout.isatty():
            _print_on(lambda: "\n".join(lines(look(), colour=False)) + "\n\n", seconds)
        else:
            _show_on(look, seconds)
    return 0


def _print_on(text: Callable[[], str], seconds: float) -> None:
    while True:
        sys.stdout.write(text())
        sys.stdout.flush()
        time.sleep(seconds)


def _show_on(look: Callable[[], dict[str, Any]], seconds: float) -> None:
    """Draw in place. What changes is written over what was there, in one go: nothing flickers."""
    # Taken by sigtimedwait: the next picture has the new size at once.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
    with _Screen() as screen:
        while True:
            screen.draw(look(), seconds)
            signal.sigtimedwait({signal.SIGWINCH}, seconds)


class _Screen:
    """The terminal, for as long as it is drawn on; after that, and while the program is suspended, it is as it was."""

    def __enter__(self) -> Self:
        signal.signal(signal.SIGTSTP, self._suspend)
        _write(_ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            _write(_LEAVE)

    def draw(self, status: dict[str, Any], seconds: float) -> None:
        """Show this in place of what was shown before."""
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
        room = Room(columns, rows - 1, cut=True)
        foot = room.cut_off(f"{time.strftime('%T')}, every {seconds:g} s, Ctrl-C ends it")
        shown = lines(status, colour=True, room=room)
        blank = [""] * (room.lines - len(shown))
        _write(_HOME + f"{_CLEAR_LINE}\r\n".join([*shown, *blank, foot]) + _CLEAR_LINE + _CLEAR_REST)

    def _suspend(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the interpreter's
        _write(_LEAVE)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # on return it goes on
        signal.signal(signal.SIGTSTP, self._suspend)
        _write(_ENTER)


def _write(text: str) -> None:
    # Past sys.stdout, which must not be entered again by a signal that comes while it writes.
    data = text.encode(sys.stdout.encoding, errors="replace")
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]
