"""Log events that could come by the thousand: the first ones are said, of the others how many there were."""

from typing import Any, Final

import structlog

_log = structlog.get_logger()

AT_ONCE: Final = 5
EVERY: Final = 60.0
"""So many of an event are said in so many seconds, and one more that says how many others there were."""


class Rare:
    """One kind of event. Times are in seconds of the monotonic clock."""

    def __init__(self, event: str, level: str) -> None:
        """`event` is a fixed sentence, `level` the name of a level of structlog."""
        self._event = event
        self._level = level
        self._since = float("-inf")
        self._said = 0
        self._unsaid = 0
        self._last: dict[str, Any] = {}
        self._next_sum = float("-inf")

    def say(self, now: float, **fields: Any) -> None:
        """It happened once more."""
        if now - self._since >= EVERY:
            self._since, self._said = now, 0
        if self._said < AT_ONCE:
            self._said += 1
            getattr(_log, self._level)(self._event, **fields)
        else:
            self._unsaid += 1
            self._last = fields

    def sum_up(self, now: float) -> None:
        """Say how many were not said: the last of them, and `and_more`. Called now and then, as once a second."""
        if self._unsaid and now >= self._next_sum:
            getattr(_log, self._level)(self._event, **self._last, and_more=self._unsaid - 1)
            self._unsaid = 0
            self._next_sum = now + EVERY
