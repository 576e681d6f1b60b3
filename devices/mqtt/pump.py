"""Drives a client from the asyncio loop, by paho's calls for external loops.

Measured ways of paho 2.2 that shape this file:

- `loop_read()` handles one packet at most and does not say whether it did, so progress is counted in `on_message`.
- An exception that leaves a callback stops delivery for good, so none does.
- paho holds a lock that is not reentrant while it is in a callback, and writing may need it: nothing writes in there.
- A set `on_socket_register_write` keeps paho from writing at once: what is sent waits for our flush.
- One wake-up of the loop costs more than a message: after a message the socket is polled for a while, not awaited.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, TypeVar

from paho.mqtt.client import DisconnectFlags, MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from devices.errors import SourceError
from devices.mqtt import refusals
from devices.mqtt.backlog import Backlog
from devices.mqtt.client import BufferedClient
from devices.mqtt.dial import packet_limit
from devices.mqtt.settings import Settings

POLL: Final = 0.04
"""Seconds between two looks at a socket that had messages at the last one: time of processor against delay. From 0.01
to 0.05 a reading went from 152 to 96 us at 500 a second, and the median of the whole way from 74 to 108 ms."""

TURN: Final = 0.01
"""Seconds for which messages are taken in one go before everything else in the loop gets its turn."""

RECEIVE_BUFFER: Final = 64 * 1024
"""Bytes that the kernel holds of what the broker sends; it takes twice that. Some 500 messages."""

KEEPALIVE_CHECK: Final = 1.0
"""Seconds between two calls of paho's keepalive."""

T = TypeVar("T")


class Pump:
    """Moves packets between one connected client and the loop. Used from the loop's thread only.

    Attributes:
        ended: has a result once the connection is gone by itself: the error that says why.
        fd: descriptor of the connection; -1 while there is none.
    """

    def __init__(self, client: BufferedClient, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._packet_limit = packet_limit(settings)
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[SourceError] = self._loop.create_future()
        self.fd = -1
        self._backlog = Backlog()
        self._seen = 0
        self._awaiting_input = self._awaiting_room = self._draining = self._stopped = False
        self._next_look: asyncio.Handle | None = None
        self._next_check: asyncio.Handle | None = None
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = lambda _client, _data, _socket: self.detach()
        client.on_socket_register_write = lambda _client, _data, _socket: None

    @property
    def holding(self) -> bool:
        """Whether so much is held back that nothing more is read."""
        return self._backlog.full

    def attach(self) -> None:
        """The client is connected: serve its socket. Messages are held back until open()."""
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            return  # gone already: `ended` knows
        # paho takes up to 100 pieces of a packet at a call, each as large as what the kernel holds: so that is bounded,
        # lest a packet that is far too large be in memory before anybody can look at its length.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.fd = sock.fileno()
        self._await_input(on=True)
        self._check_keepalive()
        self.flush()

    def detach(self) -> None:
        """The descriptor is about to be closed."""
        self._await_input(on=False)
        self._await_room(on=False)
        self.fd = -1

    def open(self, take: Callable[[MQTTMessage], None], ready: Callable[[], bool]) -> None:
        """Hand every message to `take`, which must not raise, whenever `ready()`; the others are held back in order."""
        self._backlog.open(take, ready)
        self._read()

    def send(self) -> None:
        """Send what the client has queued: now, or with the rest of what is being done."""
        if not self._draining:
            self.flush()

    def flush(self) -> None:
        """Send what the client has queued, as far as the socket takes it, and the rest when it does."""
        client = self._client
        if self.fd < 0 or not client.want_write():
            return
        client.loop_write()
        self._await_room(on=client.want_write())

    def stop(self) -> None:
        """Take nothing any more."""
        self._stopped = True
        self._await_input(on=False)
        for timer in (self._next_look, self._next_check):
            if timer:
                timer.cancel()

    def drop(self) -> None:
        """Close the connection at once, without goodbye."""
        self.stop()
        self.detach()
        if sock := self._client.socket():
            sock.close()

    def _on_disconnect(
        self, _client: Any, _data: Any, flags: DisconnectFlags, code: ReasonCode, _properties: Any
    ) -> None:
        if self._client.refused is not None:
            settle(self.ended, refusals.connect_failed(self._client.refused, self._settings))
            return
        by_broker = flags.is_disconnect_packet_from_server
        settle(self.ended, refusals.connection_ended(code, self._settings, by_broker=by_broker))

    def _on_message(self, _client: Any, _data: Any, message: MQTTMessage) -> None:
        self._seen += 1
        self._backlog.add(message)

    def _read(self) -> None:
        """Take what the socket has; then look again at once or after a while, or await more."""
        if self._next_look:
            self._next_look.cancel()
        client, backlog, before = self._client, self._backlog, self._seen
        delay: float | None = 0.0
        now = self._loop.time
        until = now() + TURN
        self._draining = True
        try:
            backlog.release(lambda: now() < until)
            while not backlog.full and now() < until:
                seen = self._seen
                client.loop_read()
                if self._seen == seen and client.arriving() > self._packet_limit:
                    self._give_up(refusals.packet_too_large(self._packet_limit, self._settings))
                    return
                if self._seen == seen and not client.has_input():
                    delay = POLL if backlog or seen != before else None
                    break
            if backlog.stuck:
                delay = POLL
        except Exception as error:  # noqa: BLE001 - paho has lost its place in the stream
            self._give_up(refusals.unreadable(error, self._settings))
        finally:
            self._draining = False
        self.flush()
        if self._stopped or self.fd < 0:
            return
        self._await_input(on=delay is None)
        if delay is not None:
            self._next_look = self._loop.call_later(delay, self._read)

    def _give_up(self, error: SourceError) -> None:
        settle(self.ended, error)
        self.drop()

    def _check_keepalive(self) -> None:
        self._client.loop_misc()
        self.flush()
        if self.fd >= 0:
            self._next_check = self._loop.call_later(KEEPALIVE_CHECK, self._check_keepalive)

    def _await_input(self, *, on: bool) -> None:
        if self.fd >= 0 and on != self._awaiting_input:
            self._awaiting_input = on
            if on:
                self._loop.add_reader(self.fd, self._read)
            else:
                self._loop.remove_reader(self.fd)

    def _await_room(self, *, on: bool) -> None:
        if self.fd >= 0 and on != self._awaiting_room:
            self._awaiting_room = on
            if on:
                self._loop.add_writer(self.fd, self.flush)
            else:
                self._loop.remove_writer(self.fd)


def settle(future: "asyncio.Future[T]", result: T) -> None:
    """Give `future` its result, unless it has one."""
    if not future.done():
        future.set_result(result)
