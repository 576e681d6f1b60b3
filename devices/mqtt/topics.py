"""Topic patterns: what to subscribe to, and which device and sensor a topic names.

A pattern is an MQTT topic filter in which `{device}` and `{sensor}` may stand for one whole level each. `+` stands
for one level and `#`, at the end only, for all that follow, as MQTT has it. `$share/GROUP/` may come first.

    plant/{device}/{sensor}     plant/boiler-7/temperature  ->  boiler-7, temperature
    zigbee2mqtt/{device}        zigbee2mqtt/kitchen         ->  kitchen; the payload names the sensors
    site/+/{device}/#           site/3/pump/flow/raw        ->  pump; the payload names the sensors
"""

from typing import Final, NamedTuple

DEVICE: Final = "{device}"
SENSOR: Final = "{sensor}"

TOPIC_LIMIT: Final = 1024
"""Longest pattern, and longest topic that is taken, in characters: MQTT's own limit of 65,535 bytes is no use here."""


def publish_problem(topic: str) -> str:
    """Why nothing can be published on `topic`, as the end of a sentence; empty if it can."""
    if set(topic) & set("+#"):
        return "has + or #; a message is published on one topic"
    if topic.startswith("$"):
        return "begins with $, as the topics of the broker itself do"
    if "\0" in topic:
        return "has a null character"
    if len(topic) > TOPIC_LIMIT:
        return f"is longer than {TOPIC_LIMIT} characters"
    return ""


class PatternError(ValueError):
    """Not a topic pattern. The text says why, as the end of a sentence."""


class Names(NamedTuple):
    """What a topic names; empty where the pattern does not ask."""

    device: str
    sensor: str


class Pattern:
    """A parsed topic pattern.

    Attributes:
        text: as it was written.
        filter: the MQTT topic filter to subscribe to.
        shared: whether its messages are spread over several subscribers.

    Raises:
        PatternError: not a topic pattern.
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise PatternError("is empty")
        if len(text) > TOPIC_LIMIT:
            raise PatternError(f"is longer than {TOPIC_LIMIT} characters")
        shared, levels = _split(text)
        for place, level in enumerate(levels):
            _check_level(level, last=place == len(levels) - 1)
        for name in (DEVICE, SENSOR):
            if levels.count(name) > 1:
                raise PatternError(f"has {name} twice")
        self.text = text
        self.filter = shared + "/".join("+" if level in (DEVICE, SENSOR) else level for level in levels)
        self.shared = bool(shared)
        self._levels = levels
        self._open = levels[-1] == "#"
        self._wild_start = levels[0] in ("+", "#", DEVICE, SENSOR)

    def names(self, word: str) -> bool:
        """Whether `{device}` or `{sensor}`, given as `word`, stands in this pattern."""
        return word in self._levels

    def match(self, topic: str) -> Names | None:
        """What `topic` names, or None if it does not fit. Names are as the topic has them, perhaps empty."""
        if self._wild_start and topic.startswith("$"):
            return None  # topics of the broker itself are taken by name only
        levels = topic.split("/")
        fixed = self._levels[:-1] if self._open else self._levels
        if len(levels) < len(fixed) or (len(levels) > len(fixed) and not self._open):
            return None
        device = sensor = ""
        for wanted, level in zip(fixed, levels, strict=False):
            if wanted == DEVICE:
                device = level
            elif wanted == SENSOR:
                sensor = level
            elif wanted not in ("+", level):
                return None
        return Names(device, sensor)


def _split(text: str) -> tuple[str, list[str]]:
    """`$share/GROUP/` or nothing, and the levels of the rest."""
    if not text.startswith("$share/"):
        return "", text.split("/")
    _, group, *levels = text.split("/")
    if not group or not levels or levels == [""] or set(group) & set("+#{}"):
        raise PatternError("is no shared subscription; write $share/GROUP/TOPIC")
    return f"$share/{group}/", levels


def _check_level(level: str, *, last: bool) -> None:
    if level == "#" and not last:
        raise PatternError("has # before its end")
    if level in ("+", "#", DEVICE, SENSOR):
        return
    if set(level) & set("+#"):
        raise PatternError("has + or # beside other characters; each must be a whole level")
    if set(level) & set("{}"):
        raise PatternError(f"has braces that are neither {DEVICE} nor {SENSOR} as a whole level")
    if "\0" in level:
        raise PatternError("has a null character")
