"""One connection to a broker: paho-mqtt driven from the asyncio loop by its calls for external loops.

Measured ways of paho 2.2 that shape this file:

- `connect()` blocks for as long as DNS, TCP and TLS take, so it runs in a thread. It only queues CONNECT: the session
  is not touched before the loop writes.
- `loop_read()` handles one packet at most and does not say whether it did, so progress is counted in `on_message`.
- An exception that leaves a callback stops delivery for good, so none does.
- paho holds a lock that is not reentrant while it is in a callback, and writing may need it: nothing writes in there.
- A set `on_socket_register_write` keeps paho from writing at once: acknowledgements wait for our flush.
- One wake-up of the loop costs more than a message: after a message the socket is polled for a while, not awaited.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from devices.errors import SourceError
from devices.mqtt import refusals
from devices.mqtt.backlog import Backlog
from devices.mqtt.client import BufferedClient
from devices.mqtt.dial import connect, in_thread, packet_limit
from devices.mqtt.settings import Settings
from devices.mqtt.topics import Pattern

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

POLL: Final = 0.04
"""Seconds between two looks at a socket that had messages at the last one: time of processor against delay. From 0.01
to 0.05 a reading went from 152 to 96 us at 500 a second, and the median of the whole way from 74 to 108 ms."""

TURN: Final = 0.01
"""Seconds for which messages are taken in one go before everything else in the loop gets its turn."""

RECEIVE_BUFFER: Final = 64 * 1024
"""Bytes that the kernel holds of what the broker sends; it takes twice that. Some 500 messages."""

KEEPALIVE_CHECK: Final = 1.0
"""Seconds between two calls of paho's keepalive."""

GOODBYE: Final = 2.0
"""Seconds that close() gives the broker to take the last acknowledgements."""

T = TypeVar("T")


class Link:
    """One connection, used once: open(), then start(), then close() or drop().

    Attributes:
        ended: has a result once the connection is gone by itself: the error that says why.
    """

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._settings = settings
        self._packet_limit = packet_limit(settings)
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[SourceError] = self._loop.create_future()
        self._greeting: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._grants: asyncio.Future[Iterable[ReasonCode]] = self._loop.create_future()
        self._backlog = Backlog()
        self._seen = 0
        self._fd = -1
        self._awaiting_input = self._awaiting_room = self._draining = self._stopped = False
        self._next_look: asyncio.Handle | None = None
        self._next_check: asyncio.Handle | None = None
        self._client = self._make_client(client_id)

    def _make_client(self, client_id: str) -> BufferedClient:
        client = BufferedClient(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if self._settings.v5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if self._settings.v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.on_connect = lambda _client, _data, _flags, code, _properties: _settle(self._greeting, code)
        client.on_subscribe = lambda _client, _data, _mid, codes, _properties: _settle(self._grants, codes)
        client.on_message = self._on_message
        client.on_disconnect = lambda _client, _data, flags, code, _properties: _settle(
            self.ended,
            refusals.connection_ended(code, self._settings, by_broker=flags.is_disconnect_packet_from_server),
        )
        client.on_socket_close = lambda _client, _data, _socket: self._detach()
        client.on_socket_register_write = lambda _client, _data, _socket: None
        return client

    # Life

    async def open(self, patterns: list[Pattern], deadline: float) -> None:
        """Connect and subscribe, within `deadline` seconds. Messages are held back until start().

        Raises:
            SourceLost, SourceRefused: it did not come up; the link is closed.
        """
        try:
            async with asyncio.timeout(deadline):
                await self._negotiate(patterns)
        except BaseException as error:
            self.drop()
            if isinstance(error, OSError | ValueError):  # a TimeoutError is an OSError
                raise refusals.connect_failed(error, self._settings) from error
            raise

    def start(self, take: Callable[[MQTTMessage], None], ready: Callable[[], bool]) -> None:
        """Hand every message to `take`, which must not raise, whenever `ready()`; the others are held back in order."""
        self._backlog.open(take, ready)
        self._read()

    def acknowledge(self, mids: Iterable[int]) -> None:
        """Acknowledge messages of QoS 1, given by packet id, in their order, and send that in one go.

        Nothing happens once the connection is gone: the broker will send those messages again.
        """
        if self._fd < 0:
            return
        self._client.acknowledge(mids)
        if not self._draining:
            self._flush()

    def stop_reading(self) -> None:
        """Take nothing any more, but keep the connection for acknowledgements."""
        self._stopped = True
        self._await_input(on=False)
        for timer in (self._next_look, self._next_check):
            if timer:
                timer.cancel()

    async def close(self) -> None:
        """Send what waits, say goodbye, and see the broker take it, within a short deadline. The session stays."""
        self.stop_reading()
        if self._fd < 0:
            return
        # Closing a socket with unread input resets it, and a reset can overtake the acknowledgements. So a second
        # descriptor stays open while paho closes its own, and is read until the broker has seen our goodbye and closes.
        try:
            with socket.socket(fileno=os.dup(self._fd)) as line, contextlib.suppress(OSError):
                line.setblocking(False)
                async with asyncio.timeout(GOODBYE):
                    self._client.disconnect()
                    self._flush()
                    while self._fd >= 0:  # noqa: ASYNC110 - paho says so in no other way
                        await asyncio.sleep(POLL)
                    line.shutdown(socket.SHUT_WR)
                    while await self._loop.sock_recv(line, 65_536):
                        pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Close the connection at once, without goodbye."""
        self.stop_reading()
        self._detach()
        if sock := self._client.socket():
            sock.close()

    # Coming up

    def _connect(self) -> None:
        """Runs in a thread."""
        connect(self._client, self._settings)
        if self._stopped:  # nobody waits for this thread any more
            self.drop()

    def _subscribe(self, patterns: list[Pattern]) -> None:
        wanted: list[Any]
        if self._settings.v5:
            # With a session that was kept, the retained messages are known already.
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
            wanted = [(pattern.filter, options) for pattern in patterns]
        else:
            wanted = [(pattern.filter, 1) for pattern in patterns]
        self._client.subscribe(wanted)
        self._flush()

    async def _negotiate(self, patterns: list[Pattern]) -> None:
        await in_thread(self._connect)
        self._attach()
        code = await self._first(self._greeting)
        if code.is_failure:
            raise refusals.connect_refused(code, self._settings)
        self._subscribe(patterns)
        for code, pattern in zip(await self._first(self._grants), patterns, strict=False):
            if code.is_failure:
                raise refusals.subscribe_refused(code, pattern.text, self._settings)

    async def _first(self, answer: "asyncio.Future[T]") -> T:
        """The answer, or the error that ended the connection before it came."""
        await asyncio.wait((answer, self.ended), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise self.ended.result()

    # In the loop

    def _attach(self) -> None:
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            return  # gone already: `ended` knows
        # paho takes up to 100 pieces of a packet at a call, each as large as what the kernel holds: so that is bounded,
        # lest a packet that is far too large be in memory before anybody can look at its length.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._fd = sock.fileno()
        self._await_input(on=True)
        self._check_keepalive()
        self._flush()

    def _detach(self) -> None:
        """The descriptor is about to be closed."""
        self._await_input(on=False)
        self._await_room(on=False)
        self._fd = -1

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
        self._flush()
        if self._stopped or self._fd < 0:
            return
        self._await_input(on=delay is None)
        if delay is not None:
            self._next_look = self._loop.call_later(delay, self._read)

    def _give_up(self, error: SourceError) -> None:
        _settle(self.ended, error)
        self.drop()

    def _flush(self) -> None:
        client = self._client
        if self._fd < 0 or not client.want_write():
            return
        client.loop_write()
        self._await_room(on=client.want_write())

    def _check_keepalive(self) -> None:
        self._client.loop_misc()
        self._flush()
        if self._fd >= 0:
            self._next_check = self._loop.call_later(KEEPALIVE_CHECK, self._check_keepalive)

    def _await_input(self, *, on: bool) -> None:
        if self._fd >= 0 and on != self._awaiting_input:
            self._awaiting_input = on
            if on:
                self._loop.add_reader(self._fd, self._read)
            else:
                self._loop.remove_reader(self._fd)

    def _await_room(self, *, on: bool) -> None:
        if self._fd >= 0 and on != self._awaiting_room:
            self._awaiting_room = on
            if on:
                self._loop.add_writer(self._fd, self._flush)
            else:
                self._loop.remove_writer(self._fd)


def _settle(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)
