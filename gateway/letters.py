"""The dead letters that were found in their topic: addresses, filters, groups, and which of them were replayed."""

import argparse
import hashlib
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

import msgspec

from gateway.wire import DeadLetter, Replayed, WireError, decode_letter_or_mark

EVERY: Final = "*"
"""In place of the id of a gateway: all of them."""


class Place(NamedTuple):
    """Where a dead letter lies in its topic: its address."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


Id = tuple[str, str]
"""Of a letter: its gateway, and the spool id that its readings have if it is replayed."""

Address = Place | str
"""Of one letter, or the id of a group of them."""


class Letter(NamedTuple):
    """A dead letter in its topic.

    Attributes:
        place: its address.
        sent: when, in milliseconds since 1970 UTC.
        content: its record.
    """

    place: Place
    sent: int
    content: DeadLetter

    @property
    def spool(self) -> str:
        """The spool id that its readings have if it is replayed: that of no other letter of its gateway, and for ever.

        A letter that was written twice (at-least-once) has one id, as it has one number in its spool.
        """
        one = self.content
        return f"{one.spool}-{one.seq}" if one.spool else f"letter-{self.place.partition}-{self.place.offset}"

    @property
    def id(self) -> "Id":
        """What tells it from all others. Gateways with cards that were cloned may have one spool id."""
        return self.content.gateway, self.spool

    @property
    def group(self) -> str:
        """The id of the group that it belongs to."""
        one = self.content
        text = f"{one.gateway}\0{one.source}\0{one.place}\0{one.reason}"
        return hashlib.blake2s(text.encode(errors="surrogatepass"), digest_size=4).hexdigest()


class Filter(NamedTuple):
    """Which letters are meant.

    Attributes:
        gateway: its id; EVERY: of all gateways.
        source: a shell pattern.
        reason: a part of the reason, in any case.
        since: received then or later, in nanoseconds since 1970 UTC.
        addresses: these only; none: whatever the address.
    """

    gateway: str = EVERY
    source: str = "*"
    reason: str = ""
    since: int = 0
    addresses: frozenset[Address] = frozenset()

    def takes(self, letter: Letter) -> bool:
        """Whether this one is meant."""
        one = letter.content
        return (
            self.gateway in (EVERY, one.gateway)
            and one.received >= self.since
            and fnmatchcase(one.source, self.source)
            and self.reason.casefold() in one.reason.casefold()
            and (not self.addresses or letter.place in self.addresses or letter.group in self.addresses)
        )


class Group(msgspec.Struct):
    """Letters of one source and place with one reason.

    Attributes:
        newest: the one that was written last.
        count: how many; replayed: of these.
        first, last: when the first and the last of them were received.
        smallest, largest: in bytes, as they came.
    """

    newest: Letter
    count: int
    replayed: int
    first: int
    last: int
    smallest: int
    largest: int


class Found:
    """What there is in the topic. Takes its records in order within each partition.

    Attributes:
        letters: those that are meant.
        copies: where letters lie that are there already, as they were written twice.
        marks: of all letters that were replayed.
        damaged: records that are neither.
        left: letters that are meant and were not taken, as there was no room.
    """

    def __init__(self, wanted: Callable[[Letter], bool], *, kept: int, room: int) -> None:
        """Of the payload of each `kept` bytes are kept, and of all of them together `room` bytes."""
        self.letters: dict[Id, Letter] = {}
        self.copies: set[Place] = set()
        self.marks: dict[Id, Replayed] = {}
        self.damaged = self.left = 0
        self._wanted = wanted
        self._kept = kept
        self._room = room

    def take(self, place: Place, sent: int, value: bytes) -> None:
        """The next record."""
        try:
            one = decode_letter_or_mark(value)
        except WireError:
            self.damaged += 1
            return
        if isinstance(one, Replayed):
            self.marks[one.gateway, one.spool] = one
            return
        letter = Letter(place, sent, one)
        if not self._wanted(letter):
            return
        if letter.id in self.letters:
            self.copies.add(place)
            return
        kept = one.payload[: self._kept]
        if len(kept) > self._room:
            self.left += 1
            return
        self._room -= len(kept)
        content = msgspec.structs.replace(one, payload=kept, text="")
        self.letters[letter.id] = Letter(place, sent, content)

    def groups(self) -> list[Group]:
        """The letters by gateway, source, place and reason; those with the latest letter first."""
        groups: dict[str, Group] = {}
        for id_, letter in self.letters.items():
            one = letter.content
            group = groups.get(letter.group)
            if group is None:
                group = groups[letter.group] = Group(
                    letter, 0, 0, one.received, one.received, one.size, one.size
                )
            group.count += 1
            group.replayed += id_ in self.marks
            group.first, group.last = min(group.first, one.received), max(group.last, one.received)
            group.smallest, group.largest = min(group.smallest, one.size), max(group.largest, one.size)
            if one.received >= group.newest.content.received:
                group.newest = letter
        return sorted(groups.values(), key=lambda group: group.last, reverse=True)


def address(text: str) -> Address:
    """What a person gives: `PARTITION:OFFSET`, or the id of a group, eight hexadecimal digits.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    if place := re.fullmatch(r"([0-9]{1,9}):([0-9]{1,18})", text):
        return Place(int(place[1]), int(place[2]))
    if re.fullmatch(r"[0-9a-f]{8}", text):
        return text
    raise argparse.ArgumentTypeError(
        f"{text!r} is no address of a dead letter: write PARTITION:OFFSET, such as 0:1234, or the id of a group, as "
        "`gatewayctl dead-letters list` shows them"
    )


def begins(addresses: Iterable[Address]) -> dict[int, int] | None:
    """By partition, from where on the topic has to be read for these letters; None: they do not say."""
    found: dict[int, int] = {}
    for one in addresses:
        if not isinstance(one, Place):
            return None
        found[one.partition] = min(one.offset, found.get(one.partition, one.offset))
    return found or None
