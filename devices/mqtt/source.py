"""The life of an MQTT source: link after link, receipts, and what is rejected."""

import functools
import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from paho.mqtt.client import MQTTMessage

from devices.decoders import make_decoder
from devices.errors import DecodeError, SettingError, SourceError
from devices.mqtt import refusals
from devices.mqtt.dial import Dialer
from devices.mqtt.link import Link, Message
from devices.mqtt.presence import Presence, topic_problem
from devices.mqtt.session import Session
from devices.mqtt.settings import Settings, Topic
from devices.mqtt.topics import DEVICE, SENSOR, TOPIC_LIMIT, Pattern, PatternError
from devices.reading import Quality, Reading, is_name
from devices.source import Decode, Home, Intake, Origin

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

_log = logging.getLogger(__name__)


BROKERS_WINDOW: Final = 20
"""Unacknowledged messages at which a broker stops under MQTT 3.1.1, where we cannot say: mosquitto's default."""


class Subscription(NamedTuple):
    """A topic pattern, and what makes readings of its messages."""

    pattern: Pattern
    decode: Decode
    device: str
    sensor: str


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
    if (settings.password or settings.password_file) and not settings.username:
        raise SettingError(f"{key}.username", "is missing; MQTT takes no password without it")
    if settings.password and settings.password_file:
        raise SettingError(f"{key}.password_file", "excludes password; keep one of them")
    if not isinstance(settings.tls, bool) and settings.tls.key and not settings.tls.cert:
        raise SettingError(f"{key}.tls.cert", "is missing; a key alone proves nothing")
    if settings.device and not is_name(settings.device):
        raise SettingError(f"{key}.device", "is no name; use 1 to 200 printable characters")
    if problem := topic_problem(settings.status_topic):
        raise SettingError(f"{key}.status_topic", f"{settings.status_topic!r} {problem}")
    decode = make_decoder(settings.decoder, f"{key}.decoder")
    subscriptions = []
    for index, entry in enumerate(settings.topics):
        topic = Topic(entry) if isinstance(entry, str) else entry
        here = f"{key}.topics.{index}"
        subscriptions.append(_subscription(topic, here, decode, settings.device or name))
    client_id = settings.client_id or f"{home.gateway}:{name}"
    presence = Presence(settings.status_topic, home.gateway, name)
    session = Session(home.folder, name, settings.hosts, client_id)
    return MqttSource(name, settings, subscriptions, client_id, presence, session)


def _subscription(topic: Topic, key: str, decode: Decode, device: str) -> Subscription:
    try:
        pattern = Pattern(topic.pattern)
    except PatternError as error:
        raise SettingError(key, f"{topic.pattern!r} {error}") from None
    for field, word, given in (("device", DEVICE, topic.device), ("sensor", SENSOR, topic.sensor)):
        if given and pattern.names(word):
            raise SettingError(f"{key}.{field}", f"excludes {word} in the pattern; keep one of them")
        if given and not is_name(given):
            raise SettingError(f"{key}.{field}", "is no name; use 1 to 200 printable characters")
    if topic.decoder:
        decode = make_decoder(topic.decoder, f"{key}.decoder")
    return Subscription(pattern, decode, topic.device or device, topic.sensor)


class MqttSource:
    """A subscription at one broker. See devices.source.Source for what the methods promise."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        subscriptions: list[Subscription],
        client_id: str,
        presence: Presence,
        session: Session,
    ) -> None:
        self.name = name
        self.window = settings.receive_maximum if settings.version == 5 else BROKERS_WINDOW  # noqa: PLR2004
        self.client_id = client_id
        self._settings = settings
        self._subscriptions = subscriptions
        self._presence = presence
        self._session = session
        self._dialer = Dialer()
        self._host = 0
        self._link: Link | None = None
        self._links = 0
        self._origin = functools.lru_cache(maxsize=4096)(self._find_origin)

    async def run(self, intake: Intake) -> None:
        """Connect, subscribe, and hand over messages until cancelled or lost. See devices.source.Source."""
        if self._link:
            self._link.drop()
        self._links += 1
        self._link = link = await self._connect()
        try:
            # A session that was kept sends its messages before it answers: they are taken, lest they fill the memory.
            link.start(functools.partial(self._take, intake, self._links), intake.ready)
            await self._subscribe(link)
            intake.connected()
            self._presence.begin(functools.partial(self._say, link))
            raise await link.ended
        except SourceError:
            link.drop()
            raise
        finally:
            link.stop_reading()
            self._presence.end()

    def safe(self, receipts: Sequence[Any]) -> None:
        """Acknowledge to the broker what came over the present link; receipts of older ones are void."""
        if self._link:
            present = self._links
            self._link.acknowledge([mid for link, mid in filter(None, receipts) if link == present])

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        """Tell it on the status topic, if there is one."""
        self._presence.announce(health, reasons)

    async def close(self) -> None:
        """Send the last acknowledgements and say goodbye; the broker keeps the session."""
        link, self._link = self._link, None
        if link:
            if self._presence.topic:
                self._say(link, self._presence.farewell())
            await link.close()

    async def _connect(self) -> Link:
        """Open a link to the present host; if that fails, the next attempt is at the next one."""
        hosts = self._settings.hosts
        settings = msgspec.structs.replace(self._settings, broker=hosts[self._host])
        will = Message(self._presence.topic, self._presence.will()) if self._presence.topic else None
        link = Link(settings, self.client_id, will)
        try:
            await link.open(self._dialer, DEADLINE)
        except SourceError:
            self._host = (self._host + 1) % len(hosts)
            raise
        return link

    async def _subscribe(self, link: Link) -> None:
        """Subscribe to what is configured, and unsubscribe from what is not any more."""
        wanted = frozenset(s.pattern.filter for s in self._subscriptions)
        held = await self._session.held()
        if held and not link.resumed:
            _log.warning("source %s: %s", self.name, refusals.session_lost(self.client_id, link.settings))
        await self._session.remember(held | wanted)
        if not await link.subscribe([s.pattern for s in self._subscriptions], DEADLINE):
            _log.warning("source %s: %s", self.name, refusals.granted_less(link.settings))
        if gone := sorted(held - wanted):
            kept = await link.unsubscribe(gone, DEADLINE)
            _log.info("source %s: unsubscribed from %s", self.name, ", ".join(sorted(set(gone) - kept)))
            if kept:
                _log.warning(
                    "source %s: the broker does not let go of %s", self.name, ", ".join(sorted(kept))
                )
            await self._session.remember(wanted | kept)

    def _say(self, link: Link, payload: bytes) -> None:
        link.publish(Message(self._presence.topic, payload))

    def _take(self, intake: Intake, link: int, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        receipt = Receipt(link, message.mid) if message.qos else None
        try:
            origin, refusal = self._place(message)
            if len(payload) > self._settings.max_payload:
                refusal = f"it is larger than max_payload, {self._settings.max_payload} bytes"
            if refusal:
                intake.reject(payload[:KEPT], origin, refusal, len(payload), receipt)
            else:
                intake.payload(payload, origin, receipt, _QUALITY[message.dup + 2 * message.retain])
        except Exception:  # noqa: BLE001 - logged with its traceback
            # A defect, as an intake promises not to raise. Left to itself it would end all delivery within paho, in
            # silence. The message stays unacknowledged: the broker has it, and sends it again on the next connection.
            _log.exception("a message could not be taken in")

    def _place(self, message: MQTTMessage) -> tuple[Origin, str]:
        """Origin of a message, and why it cannot be decoded, if so."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return Origin(self.name, "", self.name, "", _never), "its topic is no UTF-8 text"
        if len(topic) > TOPIC_LIMIT:
            place = topic[:TOPIC_LIMIT]
            return Origin(
                self.name, place, self.name, "", _never
            ), f"its topic is longer than {TOPIC_LIMIT} characters"
        return self._origin(topic)

    def _find_origin(self, topic: str) -> tuple[Origin, str]:
        if self._presence.is_status(topic):
            return Origin(self.name, topic, self.name, "", _nothing), ""
        for pattern, decode, device, sensor in self._subscriptions:
            names = pattern.match(topic)
            if names is None:
                continue
            for word, name in ((DEVICE, names.device), (SENSOR, names.sensor)):
                if pattern.names(word) and not is_name(name):
                    reason = f"the topic names no valid {word.strip('{}')}: 1 to 200 printable characters"
                    return Origin(self.name, topic, self.name, "", _never), reason
            return Origin(self.name, topic, names.device or device, names.sensor or sensor, decode), ""
        reason = "its topic fits none of the configured ones: an earlier configuration subscribed to it"
        return Origin(self.name, topic, self.name, "", _never), reason


def _nothing(_payload: bytes, _origin: Origin, _received: int) -> list[Reading]:
    """Decoder of what gateways say of themselves: no readings, on purpose."""
    return []


def _never(_payload: bytes, _origin: Origin, _received: int) -> list[Reading]:
    """Decoder of what is rejected."""
    raise DecodeError("the topic says that it must not be decoded")
