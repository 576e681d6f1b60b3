"""How a command that runs until Ctrl-C is stopped in order."""

import signal
from types import FrameType, TracebackType
from typing import Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Ctrl-C and the like become a request, so that nothing is torn in the middle; the second time is an order.

    A context manager, of the main thread.

    Attributes:
        made: whether somebody asked.
    """

    def __init__(self) -> None:
        self.made = False
        self._before = {one: signal.getsignal(one) for one in _SIGNALS}

    def __enter__(self) -> Self:
        for one in _SIGNALS:
            signal.signal(one, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def refuse(self) -> None:
        """From now on nobody is heard: what is being cleaned up must not be interrupted."""
        for one in _SIGNALS:
            signal.signal(one, signal.SIG_IGN)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the interpreter's
        if self.made:
            self.refuse()
            raise KeyboardInterrupt
        self.made = True
