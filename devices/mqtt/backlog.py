"""Messages between the socket and the gateway, while the gateway has no room for them."""

from collections import deque
from collections.abc import Callable
from typing import Final

from paho.mqtt.client import MQTTMessage

LIMIT: Final = 8_000_000
"""Bytes held before the socket itself is left alone. Up to there the connection is kept alive, and the broker's window
is what stops it: at 2,000 messages that is 2.5 KB of payload each. No window stops messages of QoS 0."""

MESSAGE_BYTES: Final = 1500
"""What a message costs in memory beside its payload."""


class Backlog:
    """Hands messages on in their order, or holds them back while there is no room. Never drops one."""

    def __init__(self) -> None:
        self._held: deque[MQTTMessage] = deque()
        self._bytes = 0
        self._take: Callable[[MQTTMessage], None] | None = None
        self._ready: Callable[[], bool] = bool

    def __bool__(self) -> bool:
        return bool(self._held)

    @property
    def full(self) -> bool:
        """Whether nothing more should be read."""
        return self._bytes >= LIMIT

    @property
    def stuck(self) -> bool:
        """Whether messages are held for which there is no room."""
        return bool(self._held) and not self._ready()

    def open(self, take: Callable[[MQTTMessage], None], ready: Callable[[], bool]) -> None:
        """Hand on to `take` from now on, whenever `ready()`. Until then everything is held."""
        self._take, self._ready = take, ready

    def add(self, message: MQTTMessage) -> None:
        """Hand on the next message, or hold it."""
        if self._take and not self._held and self._ready():
            self._take(message)
        else:
            self._held.append(message)
            self._bytes += MESSAGE_BYTES + len(message.payload)

    def release(self, in_time: Callable[[], bool]) -> None:
        """Hand on what is held, as far as there is room, and while `in_time()`."""
        while self._take and self._held and self._ready() and in_time():
            message = self._held.popleft()
            self._bytes -= MESSAGE_BYTES + len(message.payload)
            self._take(message)
