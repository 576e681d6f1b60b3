"""What the gateway says of itself at the broker: one retained message, and a will for when it can say nothing any more.

online    once it is connected, and again when its health changes
offline   from the gateway when it stops in order, from the broker when the connection breaks
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from devices.mqtt.topics import publish_problem

PAUSE: Final = 5.0
"""Seconds between two words about the health."""

SAME_HEALTH: Final = 60.0
"""Seconds before other reasons for the same health are worth a word: they name numbers that change all the time."""

REASONS: Final = 3
REASON_LIMIT: Final = 200
"""How many reasons are told, and characters of each."""

_WORDS: Final = ("{gateway}", "{source}")


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """The payload, as JSON; docs/mqtt.md has its keys."""

    state: Literal["online", "offline"]
    gateway: str
    source: str
    health: str
    reasons: list[str]
    time: str = ""


def topic_problem(template: str) -> str:
    """Why `template` can be no status topic, as the end of a sentence; empty if it can."""
    rest = template
    for word in _WORDS:
        rest = rest.replace(word, "")
    if set(rest) & set("{}"):
        return f"has braces that are neither {' nor '.join(_WORDS)}"
    return publish_problem(template)


class OwnStatus:
    """What is said on one status topic. Used from the event loop's thread only.

    Attributes:
        topic: where; empty: nothing is said.
    """

    def __init__(self, template: str, gateway: str, source: str) -> None:
        """`template` is a topic in which `{gateway}` and `{source}` may stand."""
        self.topic = template.replace("{gateway}", gateway).replace("{source}", source)
        self._gateway = gateway
        self._source = source
        alike = re.escape(template)
        for word in _WORDS:
            alike = alike.replace(re.escape(word), "[^/]+")
        self._alike = re.compile(alike)
        self._state: tuple[str, tuple[str, ...]] = ("unknown", ())
        self._said: tuple[str, tuple[str, ...]] = self._state
        self._said_at = 0.0
        self._publish: Callable[[bytes], None] | None = None
        self._timer: asyncio.Handle | None = None

    def is_status(self, topic: str) -> bool:
        """Whether this or another gateway or source says there how it is."""
        return bool(self.topic) and self._alike.fullmatch(topic) is not None

    def will(self) -> bytes:
        """For the broker to publish. Without a time, as it is not known when that will be."""
        return self._offline("the connection between gateway and broker broke", "")

    def farewell(self) -> bytes:
        """For the end of the connection, at an orderly stop or a reload."""
        return self._offline("the gateway was stopped, or reads this broker no longer", _now())

    def begin(self, publish: Callable[[bytes], None]) -> None:
        """The connection is up: say so, and then what changes, by `publish`, until end()."""
        if self.topic:
            self._publish = publish
            self._say()
            self._said_at -= SAME_HEALTH  # the first change is told at once

    def end(self) -> None:
        """Say nothing any more."""
        self._publish = None
        self._cancel()

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        """The gateway is like this now."""
        # What cannot be written as UTF-8, as of the name of a file, is told all the same.
        brief = (reason[:REASON_LIMIT].encode(errors="replace").decode() for reason in reasons[:REASONS])
        self._state = health, tuple(brief)
        if self._publish is None:
            return
        self._cancel()
        if self._state != self._said:
            pause = SAME_HEALTH if health == self._said[0] else PAUSE
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._said_at + pause, self._say)

    def _say(self) -> None:
        if self._publish:
            self._said, self._said_at = self._state, asyncio.get_running_loop().time()
            health, reasons = self._state
            word = Status("online", self._gateway, self._source, health, list(reasons), _now())
            self._publish(msgspec.json.encode(word))

    def _offline(self, reason: str, time: str) -> bytes:
        return msgspec.json.encode(Status("offline", self._gateway, self._source, "down", [reason], time))

    def _cancel(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
