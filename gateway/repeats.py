"""Log events that come by the thousand: the first ones are said, and after a minute how many others there were."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog
from structlog.typing import EventDict, WrappedLogger

AT_ONCE: Final = 5
EVERY: Final = 60.0
"""So many of an event are said in so many seconds, and one more that says how many others there were."""

NEVER_LEFT_OUT: Final = frozenset(
    {
        "anomaly",  # each is another one, and of many at once detection says itself that they are a storm
        "configuration applied",
        "configuration refused",
        "dead letter refused by kafka",
        "reading refused by kafka",
        "readings are gone that were to be read",
        "readings dropped",
        "record refused by kafka",
        "session lost",
        "spool frame damaged",
        "spool frame not understood",
    }
)
"""Those that tell of a loss, and which one, or that somebody asked for: each is said."""

_WHO: Final = ("source", "partition", "logger")
"""Fields that tell whose event it is: one of a source is no repeat of that of another. Few values, known beforehand."""


class _Window:
    """What came of one kind since `since`."""

    __slots__ = ("last", "level", "said", "since", "unsaid")

    def __init__(self, since: float) -> None:
        self.since = since
        self.said = 0
        self.unsaid = 0
        self.level = ""
        self.last: EventDict = {}


class Repeats:
    """The first processor of structlog: lets an event pass, or counts it. Safe from any thread.

    What was left out is summed up by sum_up(), which a timer calls while there is something: the last of them, with
    `and_more`, the number of the others.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds; the timer runs by the one of the machine."""
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[tuple[object, ...], _Window] = {}
        self._timer: threading.Timer | None = None

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """See structlog.

        Raises:
            DropEvent: it is one too many.
        """
        name = event["event"]
        if "and_more" in event:  # said by sum_up()
            if not event["and_more"]:
                del event["and_more"]
            return event
        if name in NEVER_LEFT_OUT:
            return event
        key = (name, *map(event.get, _WHO))
        now = self._clock()
        with self._lock:
            window = self._windows.get(key)
            if window is None or (now - window.since >= EVERY and not window.unsaid):
                window = self._windows[key] = _Window(now)
            if window.said < AT_ONCE:
                window.said += 1
                return event
            if event.get("exc_info") is True:  # of this moment; later it is another one, or none
                event["exc_info"] = sys.exc_info()[1]
            window.unsaid += 1
            window.level, window.last = method, event
            self._wake(max(0.0, window.since + EVERY - now))
        raise structlog.DropEvent

    def sum_up(self, *, early: bool = False) -> None:
        """Say how many were left out, of those whose minute is over; `early`: of all, as the program ends."""
        now = self._clock()
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            due = []
            for key, window in list(self._windows.items()):
                if early or now - window.since >= EVERY:
                    del self._windows[key]
                    due += [window] if window.unsaid else []
            held = [window.since for window in self._windows.values() if window.unsaid]
            if held:
                self._wake(max(0.0, min(held) + EVERY - now))
        for window in due:
            getattr(structlog.get_logger(), window.level)(**window.last, and_more=window.unsaid - 1)

    def _wake(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = threading.Timer(seconds, self.sum_up)
            self._timer.daemon = True
            try:
                self._timer.start()
            except RuntimeError:  # no room for one more thread: with the next one that is left out
                self._timer = None
