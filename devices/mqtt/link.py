"""One connection to a broker: how it comes up, what is said over it, and how it ends.

`connect()` of paho 2.2 blocks for as long as DNS, TCP and TLS take, so it runs in a thread. It only queues CONNECT: the
session is not touched before the loop writes.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import structlog
from paho.mqtt.client import ConnectFlags, MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from devices.mqtt import refusals
from devices.mqtt.client import BufferedClient
from devices.mqtt.dial import Dialer, connect, new_client
from devices.mqtt.pump import POLL, Pump, settle
from devices.mqtt.settings import Settings
from devices.mqtt.topics import Pattern

GOODBYE: Final = 2.0
"""Seconds that close() gives the broker to take the last acknowledgements."""

SIGN_OF_LIFE: Final = 1000
"""Bytes that must come while an answer is awaited, or the broker counts as mute. Its answers to pings are fewer."""

T = TypeVar("T")

_log = structlog.get_logger()


class Message(NamedTuple):
    """What we publish: retained, with QoS 1."""

    topic: str
    payload: bytes


class Link:
    """One connection, used once: open(), then start() and subscribe(), then close() or drop().

    Attributes:
        settings: those of the source, with the one broker that this is a connection to.
        ended: has a result once the connection is gone by itself: the error that says why.
        resumed: whether the broker had kept the session.
    """

    def __init__(
        self, settings: Settings, client_id: str, will: Message | None = None, *, source: str = ""
    ) -> None:
        """The broker publishes `will` when the connection ends without goodbye. `source` is named in the log."""
        self.settings = settings
        self._source = source
        loop = asyncio.get_running_loop()
        self._greeting: asyncio.Future[tuple[ReasonCode, bool]] = loop.create_future()
        self._granted: asyncio.Future[Sequence[ReasonCode]] = loop.create_future()
        self._released: asyncio.Future[Sequence[ReasonCode]] = loop.create_future()
        self.resumed = False
        self._stopped = self._up = self._complained = False
        self._client = client = new_client(BufferedClient, settings, client_id, clean=False)
        if will:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        self._pump = Pump(client, settings)
        self.ended = self._pump.ended
        client.on_connect = self._on_connect
        client.on_publish = self._on_published
        client.on_subscribe = lambda _client, _data, _mid, codes, _properties: settle(self._granted, codes)
        client.on_unsubscribe = lambda _client, _data, _mid, codes, _properties: settle(self._released, codes)

    async def open(self, dialer: Dialer, deadline: float) -> None:
        """Connect, within `deadline` seconds, to the session that the broker kept or begins. Messages wait for start().

        Raises:
            SourceLost, SourceRefused: it did not come up; the link is closed.
        """
        if dialer.busy:
            raise refusals.attempts_hang(self.settings)
        try:
            async with asyncio.timeout(deadline):
                await self._negotiate(dialer)
        except BaseException as error:
            self.drop()
            if isinstance(error, OSError | ValueError):  # a TimeoutError is an OSError
                raise refusals.connect_failed(error, self.settings) from error
            raise

    def start(self, take: Callable[[MQTTMessage], None], ready: Callable[[], bool]) -> None:
        """Hand every message to `take`, which must not raise, whenever `ready()`; the others are held back in order."""
        self._pump.open(take, ready)

    async def subscribe(self, patterns: Sequence[Pattern], patience: float) -> bool:
        """Subscribe with QoS 1, and return whether the broker grants that, not less.

        A session that was kept sends its messages first: it is waited for as long as it does, and `patience` seconds.

        Raises:
            SourceLost, SourceRefused: it did not.
        """
        wanted: list[Any]
        if self.settings.v5:
            wanted = [(pattern.filter, _options(pattern)) for pattern in patterns]
        else:
            wanted = [(pattern.filter, 1) for pattern in patterns]
        self._client.subscribe(wanted)
        self._pump.send()
        codes = await self._answer(self._granted, patience)
        for code, pattern in zip(codes, patterns, strict=False):
            if code.is_failure:
                raise refusals.subscribe_refused(code, pattern.text, self.settings)
        return all(code.value for code in codes)

    async def unsubscribe(self, filters: Sequence[str], patience: float) -> frozenset[str]:
        """Unsubscribe, and return those that the broker refuses to let go.

        Raises:
            SourceLost: no answer came.
        """
        self._client.unsubscribe(list(filters))
        self._pump.send()
        codes = await self._answer(self._released, patience)  # none with MQTT 3.1.1
        return frozenset(filter_ for filter_, code in zip(filters, codes, strict=False) if code.is_failure)

    def publish(self, message: Message) -> None:
        """Publish, unless the connection is not up."""
        if self._up and self._pump.fd >= 0:
            self._client.publish(message.topic, message.payload, qos=1, retain=True)
            self._pump.send()

    def acknowledge(self, mids: Iterable[int]) -> None:
        """Acknowledge messages of QoS 1, given by packet id, in their order, and send that in one go.

        Nothing happens once the connection is gone: the broker will send those messages again.
        """
        if self._pump.fd >= 0:
            self._client.acknowledge(mids)
            self._pump.send()

    def stop_reading(self) -> None:
        """Take nothing any more, but keep the connection for acknowledgements."""
        self._stopped = True
        self._pump.stop()

    async def close(self) -> None:
        """Send what waits, say goodbye, and see the broker take it, within a short deadline. The session stays."""
        self.stop_reading()
        pump = self._pump
        if pump.fd < 0:
            return
        # Closing a socket with unread input resets it, and a reset can overtake the acknowledgements. So a second
        # descriptor stays open while paho closes its own, and is read until the broker has seen our goodbye and closes.
        try:
            with socket.socket(fileno=os.dup(pump.fd)) as line, contextlib.suppress(OSError):
                line.setblocking(False)
                async with asyncio.timeout(GOODBYE):
                    self._client.disconnect()
                    pump.flush()
                    while pump.fd >= 0:  # noqa: ASYNC110 - paho says so in no other way
                        await asyncio.sleep(POLL)
                    line.shutdown(socket.SHUT_WR)
                    while await asyncio.get_running_loop().sock_recv(line, 65_536):
                        pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Close the connection at once, without goodbye."""
        self._stopped = True
        self._pump.drop()

    async def _negotiate(self, dialer: Dialer) -> None:
        await dialer.run(self._connect)
        self._pump.attach()
        await asyncio.wait((self._greeting, self.ended), return_when=asyncio.FIRST_COMPLETED)
        code, self.resumed = self._result(self._greeting)
        if code.is_failure:
            raise refusals.connect_refused(code, self.settings)
        self._up = True

    def _connect(self) -> None:
        """Runs in a thread."""
        connect(self._client, self.settings)
        if self._stopped:  # nobody waits for this thread any more
            self.drop()

    def _on_connect(
        self, _client: Any, _data: Any, flags: ConnectFlags, code: ReasonCode, _properties: Any
    ) -> None:
        settle(self._greeting, (code, flags.session_present))

    def _on_published(self, _client: Any, _data: Any, _mid: int, code: ReasonCode, _properties: Any) -> None:
        if code.is_failure and not self._complained:
            self._complained = True
            problem = refusals.status_refused(code, self.settings)
            _log.warning("status refused by broker", source=self._source, problem=problem)

    async def _answer(self, answer: "asyncio.Future[T]", patience: float) -> T:
        """The answer, if it comes before the connection ends or the broker is mute for `patience` seconds."""
        while True:
            received = self._client.received
            await asyncio.wait((answer, self.ended), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if answer.done() or self.ended.done():
                return self._result(answer)
            if self._client.received - received < SIGN_OF_LIFE and not self._pump.holding:
                raise refusals.connect_failed(TimeoutError(), self.settings)

    def _result(self, answer: "asyncio.Future[T]") -> T:
        """The answer, or the error that ended the connection before it came."""
        if answer.done():
            return answer.result()
        raise self.ended.result()


def _options(pattern: Pattern) -> SubscribeOptions:
    """Of MQTT 5. No Local is left out: with a shared subscription it would be an error of the protocol."""
    if pattern.shared:  # each of those who share it would get the retained messages; mosquitto 2.0 sends them
        return SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
    # With a session that was kept, the retained messages are known already.
    return SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
