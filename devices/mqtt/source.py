"""The life of an MQTT source: link after link, receipts, and what is rejected."""

import functools
import time
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
import structlog
from paho.mqtt.client import MQTTMessage

from devices.errors import DecodeError, SettingError, SourceError
from devices.mqtt import refusals
from devices.mqtt.dial import Dialer
from devices.mqtt.link import Link, Message
from devices.mqtt.own_status import OwnStatus, topic_problem
from devices.mqtt.session import Session
from devices.mqtt.settings import Settings, host_problem
from devices.mqtt.subscriptions import Subscriptions, subscriptions_of
from devices.reading import Quality, is_name
from devices.source import Home, Intake, Origin, Piece, Tap

DEADLINE: Final = 20.0
"""Seconds from the first packet to CONNACK, and then for each other answer. paho waits 5 s for TCP and 5 s for TLS, per
address."""

KEPT: Final = 4096
"""How much of a payload that is too large is handed to reject(), in bytes."""

_QUALITY: Final = (
    Quality.GOOD,
    Quality.REDELIVERED,
    Quality.RETAINED,
    Quality.REDELIVERED | Quality.RETAINED,
)

AGAIN: Final = 60.0
"""Seconds between two connections that the broker closed without a word, within which another client may be the cause:
the two throw each other out."""

_NO_TEXT: Final = b"\xff"
"""A topic that is no UTF-8 text: stands for every such topic in a capture."""

_log = structlog.get_logger()


BROKERS_WINDOW: Final = 20
"""Unacknowledged messages at which a broker stops under MQTT 3.1.1, where we cannot say: mosquitto's default."""


class Receipt(NamedTuple):
    """Names a message of QoS 1 to acknowledge: void unless its link is the present one."""

    link: int
    mid: int


def open_source(name: str, settings: Settings, home: Home) -> "MqttSource":
    """Make the source called `name`; see devices.registry.

    Raises:
        SettingError: settings that do not fit together, a pattern that is none, or a decoder that does not exist.
    """
    key = f"sources.{name}"
    settings.check(key)
    for place, host in enumerate(settings.hosts):
        where = f"{key}.broker" if isinstance(settings.broker, str) else f"{key}.broker.{place}"
        if problem := host_problem(host):
            raise SettingError(where, f"{host!r} {problem}")
    if settings.device and not is_name(settings.device):
        raise SettingError(f"{key}.device", "is no name; use 1 to 200 printable characters")
    if problem := topic_problem(settings.status_topic):
        raise SettingError(f"{key}.status_topic", f"{settings.status_topic!r} {problem}")
    own_status = OwnStatus(settings.status_topic, home.gateway, name)
    subscriptions = Subscriptions(name, subscriptions_of(name, settings, key), own_status.is_status)
    client_id = settings.client_id or f"{home.gateway}:{name}"
    session = Session(home.folder, name, settings.hosts, client_id)
    return MqttSource(name, settings, subscriptions, client_id, own_status, session)


class MqttSource:
    """A subscription at one broker. See devices.source.Source for what the methods promise."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        subscriptions: Subscriptions,
        client_id: str,
        own_status: OwnStatus,
        session: Session,
    ) -> None:
        self.name = name
        self.window = settings.receive_maximum if settings.version == 5 else BROKERS_WINDOW  # noqa: PLR2004
        self.client_id = client_id
        self.counts = dict.fromkeys(
            ("messages", "redelivered", "retained", "too_large", "unmatched", "connects"), 0
        )
        self._settings = settings
        self._subscriptions = subscriptions
        self._own_status = own_status
        self._session = session
        self._dialer = Dialer()
        self._host = 0
        self._link: Link | None = None
        self._links = 0
        self._closed = -AGAIN
        self._tap: Tap | None = None
        self._up = False

    async def run(self, intake: Intake) -> None:
        """Connect, subscribe, and hand over messages until cancelled or lost. See devices.source.Source."""
        if self._link:
            self._link.drop()
        self._links += 1
        self._link = link = await self._connect()
        self._up = True
        self._mark("opened")
        try:
            # A session that was kept sends its messages before it answers: they are taken, lest they fill the memory.
            link.start(functools.partial(self._take, intake, self._links), intake.ready)
            await self._subscribe(link)
            self.counts["connects"] += 1
            intake.connected()
            self._own_status.begin(functools.partial(self._say, link))
            raise await link.ended
        except refusals.ClosedError as error:
            link.drop()
            closed, self._closed = self._closed, time.monotonic()
            raise refusals.closed_again(link.settings) if self._closed - closed < AGAIN else error from None
        except SourceError:
            link.drop()
            raise
        finally:
            link.stop_reading()
            self._up = False
            self._mark("lost")
            self._own_status.end()

    def safe(self, receipts: Sequence[Any]) -> None:
        """Acknowledge to the broker what came over the present link; receipts of older ones are void."""
        if self._link:
            present = self._links
            self._link.acknowledge([mid for link, mid in filter(None, receipts) if link == present])

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        """Tell it on the status topic, if there is one."""
        self._own_status.announce(health, reasons)

    async def close(self) -> None:
        """Send the last acknowledgements and say goodbye; the broker keeps the session."""
        link, self._link = self._link, None
        if link:
            if self._own_status.topic:
                self._say(link, self._own_status.farewell())
            await link.close()

    def tap(self, tap: Tap | None) -> None:
        """See devices.source.RawSource."""
        self._tap = tap
        if self._up:
            self._mark("opened")

    def origin(self, place: str, size: int, *, rejected: bool) -> Origin:  # noqa: ARG002 - messages are whole
        """See devices.source.DecodingSource."""
        origin, refusal = self._subscriptions.of(place)
        if refusal := refusal or self._too_large(size):
            raise DecodeError(refusal)
        return msgspec.structs.replace(origin, memory={})

    def replay(self, piece: Piece, intake: Intake) -> None:
        """See devices.source.RawSource."""
        if piece.event:
            return
        message = MQTTMessage(topic=piece.topic.encode() or _NO_TEXT)
        message.payload, message.qos, message.dup, message.retain = (
            piece.data,
            piece.qos,
            piece.dup,
            piece.retain,
        )
        self._take(intake, 0, message)

    def _mark(self, event: Literal["opened", "lost"]) -> None:
        if self._tap:
            self._tap(Piece(time.time_ns(), event))

    async def _connect(self) -> Link:
        """Open a link to the present host; if that fails, the next attempt is at the next one."""
        hosts = self._settings.hosts
        settings = msgspec.structs.replace(self._settings, broker=hosts[self._host])
        will = Message(self._own_status.topic, self._own_status.will()) if self._own_status.topic else None
        link = Link(settings, self.client_id, will, source=self.name)
        try:
            await link.open(self._dialer, DEADLINE)
        except SourceError:
            self._host = (self._host + 1) % len(hosts)
            raise
        return link

    async def _subscribe(self, link: Link) -> None:
        """Subscribe to what is configured, and unsubscribe from what is not any more."""
        wanted = self._subscriptions.filters
        held = await self._session.held()
        if held and not link.resumed:
            problem = refusals.session_lost(self.client_id, link.settings)
            _log.warning("session lost", source=self.name, problem=problem)
        await self._session.remember(held | wanted)
        if not await link.subscribe(self._subscriptions.patterns, DEADLINE):
            problem = refusals.granted_less(link.settings)
            _log.warning("broker grants less", source=self.name, problem=problem)
        if gone := sorted(held - wanted):
            kept = await link.unsubscribe(gone, DEADLINE)
            _log.info("unsubscribed", source=self.name, topics=sorted(set(gone) - kept))
            if kept:
                _log.warning("broker does not unsubscribe", source=self.name, topics=sorted(kept))
            await self._session.remember(wanted | kept)

    def _say(self, link: Link, payload: bytes) -> None:
        link.publish(Message(self._own_status.topic, payload))

    def _too_large(self, size: int) -> str:
        """What is wrong with a payload of so many bytes; empty if nothing is."""
        limit = self._settings.max_payload
        return f"it is larger than max_payload, {limit} bytes" if size > limit else ""

    def _take(self, intake: Intake, link: int, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        if self._tap:
            self._tap(_piece(message, payload))
        receipt = Receipt(link, message.mid) if message.qos else None
        counts = self.counts
        counts["messages"] += 1
        counts["redelivered"] += message.dup
        counts["retained"] += message.retain
        try:
            origin, refusal = self._subscriptions.place(message)
            counts["unmatched"] += bool(refusal)
            if too_large := self._too_large(len(payload)):
                counts["too_large"] += 1
                refusal = too_large
            if refusal:
                intake.reject(payload[:KEPT], origin, refusal, len(payload), receipt)
            else:
                intake.payload(payload, origin, receipt, _QUALITY[message.dup + 2 * message.retain])
        except Exception:  # noqa: BLE001 - logged with its traceback
            # A defect, as an intake promises not to raise. Left to itself it would end all delivery within paho, in
            # silence. The message stays unacknowledged: the broker has it, and sends it again on the next connection.
            _log.exception("message not taken in", source=self.name)


def _piece(message: MQTTMessage, payload: bytes) -> Piece:
    try:
        topic = message.topic
    except UnicodeDecodeError:
        topic = ""
    now = time.time_ns()
    return Piece(
        now, data=payload, topic=topic, qos=message.qos, dup=bool(message.dup), retain=bool(message.retain)
    )
