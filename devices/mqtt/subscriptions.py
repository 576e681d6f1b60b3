"""What a source is subscribed to, and what makes readings of a message by its topic."""

import functools
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from paho.mqtt.client import MQTTMessage

from devices.decoders import make_decoder
from devices.errors import DecodeError, SettingError
from devices.mqtt.settings import Settings, Topic
from devices.mqtt.topics import DEVICE, SENSOR, TOPIC_LIMIT, Pattern, PatternError
from devices.reading import Reading, is_name
from devices.source import Decode, Origin

TOPICS: Final = 16_384
"""Topics whose origin is kept, some 600 bytes each. One beyond them is found anew: 2 us, and a CSV header is forgotten."""


class Subscription(NamedTuple):
    """A topic pattern, and what makes readings of its messages."""

    pattern: Pattern
    decode: Decode
    device: str
    sensor: str


class Subscriptions:
    """All of one source.

    Attributes:
        patterns: as configured, in their order.
        filters: the topic filters that a broker knows them by.
    """

    def __init__(
        self, source: str, subscriptions: Sequence[Subscription], is_status: Callable[[str], bool]
    ) -> None:
        """`is_status` knows the topics on which gateways speak of themselves."""
        self.patterns = [one.pattern for one in subscriptions]
        self.filters = frozenset(pattern.filter for pattern in self.patterns)
        self._source = source
        self._subscriptions = subscriptions
        self._is_status = is_status
        self._origin = functools.lru_cache(maxsize=TOPICS)(self._find_origin)

    def place(self, message: MQTTMessage) -> tuple[Origin, str]:
        """Origin of a message, and why it cannot be decoded, if so."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return self._nowhere(""), "its topic is no UTF-8 text"
        if len(topic) > TOPIC_LIMIT:
            return self._nowhere(topic[:TOPIC_LIMIT]), f"its topic is longer than {TOPIC_LIMIT} characters"
        return self._origin(topic)

    def of(self, place: str) -> tuple[Origin, str]:
        """The same of a place that an Origin was given: that of a topic too long, or of no text, is not the whole topic."""
        if not place or len(place) >= TOPIC_LIMIT:
            return self._nowhere(place), "its topic is not known whole"
        return self._origin(place)

    def _find_origin(self, topic: str) -> tuple[Origin, str]:
        if self._is_status(topic):
            return Origin(self._source, topic, self._source, "", _nothing), ""
        for pattern, decode, device, sensor in self._subscriptions:
            names = pattern.match(topic)
            if names is None:
                continue
            for word, name in ((DEVICE, names.device), (SENSOR, names.sensor)):
                if pattern.names(word) and not is_name(name):
                    reason = f"the topic names no valid {word.strip('{}')}: 1 to 200 printable characters"
                    return self._nowhere(topic), reason
            return Origin(self._source, topic, names.device or device, names.sensor or sensor, decode), ""
        reason = "its topic fits none of the configured ones: an earlier configuration subscribed to it"
        return self._nowhere(topic), reason

    def _nowhere(self, topic: str) -> Origin:
        return Origin(self._source, topic, self._source, "", _never)


def subscriptions_of(name: str, settings: Settings, key: str) -> list[Subscription]:
    """Those that the settings of the source `name`, at the dotted path `key`, ask for.

    Raises:
        SettingError: a pattern or name that is none, a decoder that does not exist, or one thing named twice.
    """
    decode = make_decoder(settings.decoder, f"{key}.decoder")
    return [
        _subscription(
            Topic(entry) if isinstance(entry, str) else entry,
            f"{key}.topics.{index}",
            decode,
            settings.device or name,
        )
        for index, entry in enumerate(settings.topics)
    ]


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


def _nothing(_payload: bytes, _origin: Origin, _received: int) -> list[Reading]:
    """Decoder of what gateways say of themselves: no readings, on purpose."""
    return []


def _never(_payload: bytes, _origin: Origin, _received: int) -> list[Reading]:
    """Decoder of what is rejected."""
    raise DecodeError("the topic says that it must not be decoded")
