"""Sees which requests a client sends to a Kafka broker, by their numbers in the protocol."""

from collections.abc import Callable
from typing import Final

from proxy import Tap

HEAD: Final = 6
"""Bytes: four of the length of what follows, two of the kind of request."""


class RequestWatch:
    """For a proxy in front of a broker."""

    def __init__(self) -> None:
        self._kind = -1
        self._heard: Callable[[], None] = lambda: None

    def on(self, kind: int, heard: Callable[[], None]) -> None:
        """Call `heard` once, in the proxy's thread, before the next request of this kind is passed on."""
        self._heard = heard
        self._kind = kind

    def off(self) -> None:
        """Call nothing any more."""
        self._kind = -1

    def connection(self) -> Tap:
        """A tap for one more connection."""
        stream = bytearray()

        def hear(to_server: bool, data: bytes) -> None:  # noqa: FBT001 - as a Tap is
            if not to_server:
                return
            stream.extend(data)
            while len(stream) >= HEAD and len(stream) >= (end := 4 + int.from_bytes(stream[:4])):
                kind = int.from_bytes(stream[4:HEAD])
                del stream[:end]
                if kind == self._kind:
                    self.off()
                    self._heard()

        return hear
