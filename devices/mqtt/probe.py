"""Tries a broker as a gateway would use it, under a client id of its own, so that the gateway's session is not touched.

Blocks; gives up within a few seconds. Nothing is published, no message taken, and no session left behind.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from msgspec.structs import replace
from paho.mqtt.client import Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from devices.mqtt import refusals
from devices.mqtt.dial import connect, new_client
from devices.mqtt.settings import Settings, Topic
from devices.mqtt.topics import Pattern

SYS: Final = {
    "$SYS/broker/version": "version",
    "$SYS/broker/publish/messages/dropped": "dropped",
    "$SYS/broker/uptime": "uptime",
}
"""What mosquitto says of itself."""

SESSION_EXPIRY: Final = 60
"""Seconds: should we be killed, the broker forgets what we began."""

PATIENCE: Final = 2.0
"""Seconds for each answer."""


class Seen(NamedTuple):
    """What a broker did.

    Attributes:
        kept: whether it kept a session over a break of the connection.
        limits: what its CONNACK said: names of MQTT 5 properties, such as `ReceiveMaximum`.
        refused: a sentence for each topic pattern that it refuses.
        less: patterns that it grants with QoS 0 only.
        said: of SYS, by its short names; empty where it says nothing.
    """

    kept: bool
    limits: dict[str, Any]
    refused: list[str]
    less: list[str]
    said: dict[str, str]


def probe(settings: Settings, client_id: str, within: float) -> Seen:
    """Connect, subscribe to the topics of `settings`, break off, and look whether the session was kept.

    `client_id` must be nobody else's.

    Raises:
        SourceLost, SourceRefused: no connection came up; the text says why and what to do.
    """
    settings = replace(settings, session_expiry=SESSION_EXPIRY, status_topic="")
    deadline = time.monotonic() + within
    with _connected(settings, client_id, deadline) as first:
        refused, less = first.subscribe(settings)
        said = first.listen()
    with _connected(settings, client_id, deadline) as second:
        kept = second.resumed
        second.forget = True
    if not settings.v5:  # which has no other way to end a session
        with _connected(settings, client_id, deadline, clean=True):
            pass
    return Seen(kept, first.limits, refused, less, said)


class _Visit:
    """One connection."""

    def __init__(self, settings: Settings, client_id: str, deadline: float, *, clean: bool) -> None:
        self._settings = settings
        self._deadline = deadline
        self.forget = False
        self.resumed = False
        self.limits: dict[str, Any] = {}
        self._greeted: list[ReasonCode] = []
        self._granted: dict[int, list[ReasonCode]] = {}
        self._said: dict[str, str] = {}
        self.client = client = new_client(Client, settings, client_id, clean=clean)
        client.connect_timeout = min(3.0, max(0.1, deadline - time.monotonic()))
        client.on_connect = self._on_connect
        client.on_subscribe = lambda _client, _data, mid, codes, _properties: self._granted.update(
            {mid: codes}
        )
        client.on_message = lambda _client, _data, message: self._said.update(
            {SYS.get(message.topic, ""): bytes(message.payload).decode(errors="replace")}
        )

    def open(self) -> None:
        """Raises: see probe()."""
        try:
            connect(self.client, self._settings)
            self._until(lambda: bool(self._greeted), PATIENCE)
        except (OSError, ValueError) as error:
            raise refusals.connect_failed(error, self._settings) from error
        if not self._greeted:
            raise refusals.connect_failed(TimeoutError(), self._settings)
        if self._greeted[0].is_failure:
            raise refusals.connect_refused(self._greeted[0], self._settings)

    def subscribe(self, settings: Settings) -> tuple[list[str], list[str]]:
        """The refusals, a sentence each, and the patterns that got QoS 0. A share would take messages of the gateway."""
        patterns = [Pattern(one.pattern if isinstance(one, Topic) else one) for one in settings.topics]
        bare = [one.filter.split("/", 2)[2] if one.shared else one.filter for one in patterns]
        asked: dict[int, Pattern] = {}
        for pattern, topic in zip(patterns, bare, strict=True):
            _, mid = self._subscribe(topic, 1)
            asked[mid or -1] = pattern
        self._until(lambda: asked.keys() <= self._granted.keys(), PATIENCE)
        self.client.unsubscribe(bare)  # what comes is the gateway's
        refused, less = [], []
        for mid, pattern in asked.items():
            code = next(iter(self._granted.get(mid, [])), None)
            if code is None:
                continue
            if code.is_failure:
                refused.append(str(refusals.subscribe_refused(code, pattern.text, settings)))
            elif code.value == 0:
                less.append(pattern.text)
        return refused, less

    def listen(self) -> dict[str, str]:
        """What it says of itself."""
        for topic in SYS:
            self._subscribe(topic, 0, retained=True)
        self._until(lambda: set(SYS.values()) <= self._said.keys(), 0.3)
        return {name: text for name, text in self._said.items() if name}

    def _subscribe(self, topic: str, qos: int, *, retained: bool = False) -> tuple[Any, int | None]:
        if not self._settings.v5:
            return self.client.subscribe(topic, qos)
        handling = (
            SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
        )
        return self.client.subscribe(topic, options=SubscribeOptions(qos=qos, retainHandling=handling))

    def _on_connect(self, _client: Any, _data: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        self.resumed = flags.session_present
        self.limits = {
            name: value for name in _LIMITS if (value := getattr(properties, name, None)) is not None
        }
        self._greeted.append(code)

    def _until(self, condition: Callable[[], bool], within: float) -> None:
        end = min(time.monotonic() + within, self._deadline)
        while not condition() and time.monotonic() < end:
            if self.client.loop(0.02):
                return  # it has hung up


_LIMITS: Final = (
    "ReceiveMaximum", "SessionExpiryInterval", "MaximumQoS", "MaximumPacketSize", "RetainAvailable",
    "SharedSubscriptionAvailable", "ServerKeepAlive", "WildcardSubscriptionAvailable",
)  # fmt: skip


@contextlib.contextmanager
def _connected(
    settings: Settings, client_id: str, deadline: float, *, clean: bool = False
) -> Iterator[_Visit]:
    visit = _Visit(settings, client_id, deadline, clean=clean)
    client = visit.client
    try:
        visit.open()
        yield visit
        if settings.v5 and visit.forget:
            ending: Any = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call] # paho's
            ending.SessionExpiryInterval = 0
            client.disconnect(properties=ending)
        else:
            client.disconnect()
        for _ in range(3):
            if client.loop(0.02):
                break
    finally:
        if sock := client.socket():
            sock.close()
