"""How many may use the control socket at once, so that nobody who does it without end takes it from the others."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

CONNECTIONS: Final = 32
"""Connections at once, of all together,"""

STRANGERS: Final = 16
"""of all who may not do everything: the others find a place whatever these do,"""

PER_USER: Final = 8
"""and of one user."""

STREAMS_PER_USER: Final = 6
"""Of these, answers without an end. So whoever watches a lot can still ask."""

PACE: Final = 0.2
"""Seconds for which one of these keeps his place when he has his answer, and after which anybody hears that there is none:
who asks without a pause takes little of a processor."""

ANSWER_BYTES: Final = 8_000_000
"""Bytes of answers that wait to be read, of all together; of strangers half of it. One has at most control.RESPONSE_LIMIT."""


class Full(Exception):
    """There is no place. The text says why, and what to do."""


class Places:
    """Who is connected. Each place is held for as long as a `with` lasts, and Full is raised where there is none."""

    def __init__(self) -> None:
        self._users: Counter[int] = Counter()
        self._streams: Counter[int] = Counter()
        self._strangers = self._at_the_door = 0
        self._bytes = {True: 0, False: 0}

    @contextmanager
    def connection(self, uid: int, *, member: bool) -> Iterator[None]:
        """For one connection of this user, who may do everything, or not."""
        if self._users[uid] >= PER_USER:
            raise Full(f"{PER_USER} connections of user {uid} are open already; end one of them first")
        if self._users.total() >= CONNECTIONS or (not member and self._strangers >= STRANGERS):
            raise Full("too many are connected to gatewayd; ask again in a moment")
        self._strangers += not member
        try:
            with _counted(self._users, uid):
                yield
        finally:
            self._strangers -= not member

    @contextmanager
    def at_the_door(self) -> Iterator[None]:
        """For one who is to hear that there is no place.

        Raises:
            ConnectionError: of those there are too many, too.
        """
        if self._at_the_door >= CONNECTIONS:
            raise ConnectionAbortedError
        self._at_the_door += 1
        try:
            yield
        finally:
            self._at_the_door -= 1

    @contextmanager
    def stream(self, uid: int) -> Iterator[None]:
        """For one answer without an end."""
        if self._streams[uid] >= STREAMS_PER_USER:
            raise Full(
                f"{STREAMS_PER_USER} captures, tails and reloads of user {uid} run already; end one of them first"
            )
        with _counted(self._streams, uid):
            yield

    @contextmanager
    def answer(self, size: int, *, member: bool) -> Iterator[None]:
        """For so many bytes until they are read."""
        room = ANSWER_BYTES - sum(self._bytes.values()) if member else ANSWER_BYTES // 2 - self._bytes[False]
        if size > room:
            raise Full("too many long answers of gatewayd wait to be read; ask again in a moment")
        self._bytes[member] += size
        try:
            yield
        finally:
            self._bytes[member] -= size


@contextmanager
def _counted(counter: Counter[int], key: int) -> Iterator[None]:
    counter[key] += 1
    try:
        yield
    finally:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]
