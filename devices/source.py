"""The port between the world and the gateway: what a source is, and what it hands its input to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol, runtime_checkable

import msgspec

from devices.reading import Quality, Reading

Decode = Callable[[bytes, "Origin", int], list[Reading]]
"""`decode(payload, origin, received)`: the readings in a payload, in their order there.

A pure function, except that a format whose meaning depends on what came before (the header of a CSV stream) keeps what it
needs in `origin.memory`, and only of payloads that it could decode. An empty list means that the payload carries none on purpose (a comment, an empty line) and is
counted as ignored. `received` is in nanoseconds since 1970 UTC. A payload is decoded whole or not at all.

Raises:
    DecodeError: the payload cannot be read, or holds something that cannot be a reading. Nothing else.
"""


class Home(msgspec.Struct, frozen=True):
    """The gateway that a source works for, as far as that concerns it.

    Attributes:
        gateway: the gateway's id, for what the other side sees.
        folder: where a source may keep what must survive a restart, in files that bear its name. It need not exist.
            None: nowhere.
    """

    gateway: str = ""
    folder: Path | None = None


NO_HOME: Final = Home()
"""Of a source on its own."""


class Origin(msgspec.Struct, frozen=True, eq=False):
    """Where payloads come from, what names their readings when they do not, and how to read them.

    Made once per connection of a port, or per topic, not per payload.

    Attributes:
        source: name of the source.
        place: the port or MQTT topic, for dead letters and logs.
        device: names the device of a payload that names none.
        sensor: names the sensor of a payload that names none; empty if nothing does.
        decode: reads its payloads.
        memory: what a decoder remembers of the payloads so far; see Decode. Whoever hands over payloads leaves it alone.
    """

    source: str
    place: str
    device: str
    sensor: str
    decode: Decode
    memory: dict[str, Any] = msgspec.field(default_factory=dict)


class Intake(Protocol):
    """What a source hands its input to.

    Plain functions, called from the event loop's thread only. They never block, and never raise because of what a
    payload holds. A `receipt` is opaque: it comes back in Source.safe() when everything in the payload is safe.
    """

    def payload(
        self, data: bytes, origin: Origin, receipt: Any = None, quality: Quality = Quality.GOOD
    ) -> None:
        """Decode a whole payload or frame and take its readings; what cannot be decoded becomes a dead letter."""

    def readings(self, readings: Sequence[Reading], receipt: Any = None) -> None:
        """Take readings that came as one payload needing no decoder (the simulator, a polled register)."""

    def reject(self, data: bytes, origin: Origin, reason: str, size: int, receipt: Any = None) -> None:
        """Take a payload that must not be decoded: too long, damaged, torn.

        `data` is what was kept of it, `size` how many bytes it had; `reason` quotes no device data.
        """

    def ready(self) -> bool:
        """Whether there is room for more.

        A source whose other side keeps what is not taken should stop taking while there is none, and look again a
        little later. One that cannot wait goes on: what there is no room for is dropped by the gateway's policy.
        """

    def now(self) -> int:
        """The time of receipt of what is handed over now, in nanoseconds since 1970 UTC.

        A source that gives its readings times of its own making takes them from here, in the same turn of the loop in
        which it hands them over. While the loop has other turns this may jump, either way: the clock was set. So nothing
        is paced by it.
        """

    def connected(self) -> None:
        """The link is up: from now on silence means that the other side says nothing."""


class Source(Protocol):
    """A connection that yields readings. Used from one task of one event loop.

    Life: run() is called again after each SourceLost or SourceRefused, with a pause; close() comes last.
    """

    name: str
    window: int
    """How many receipts may wait for safe() before the other side stops sending; 0 if it does not stop for that."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What a person judges the quality of the connection by, since the source was made: each only ever grows.

        The names are those of docs/status.md, and all are there from the beginning. Asked once a second or so.
        """

    async def run(self, intake: Intake) -> None:
        """Connect, say `intake.connected()`, and hand over payloads until cancelled.

        When cancelled it stops reading but keeps the link, so that safe() can still acknowledge what was taken;
        close() ends it. Never blocks the event loop: what may block runs in a thread.

        Raises:
            SourceLost, SourceRefused, SourceEnded: see devices.errors. The link is closed by then, and receipts
            of that connection are void: passing them to safe() does nothing.
        """

    def safe(self, receipts: Sequence[Any]) -> None:
        """Everything handed over with these receipts is safe: acknowledge it to the other side.

        Called from the event loop's thread, in the order of intake, once per batch. Never raises.
        """

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        """The gateway is like this now: tell the other side, if it has a place for that.

        `health` is "healthy", "degraded" or "down"; `reasons` are sentences, the worst first. Called from the event loop's
        thread. Never raises, never blocks.
        """

    async def close(self) -> None:
        """Send what is still to be acknowledged and close the link. Safe to call twice, or before run()."""


class Piece(msgspec.Struct, frozen=True):
    """One thing that came over a link, raw: before any framing and decoding.

    Attributes:
        time: when it came, in nanoseconds since 1970 UTC.
        event: empty: these are bytes. `opened`: a new link, and what comes now has nothing to do with what came before.
            `quiet`: the line was quiet for so long that what was held of a frame counts as cut short. `lost`: nothing
            more will come over this link. `gap`: pieces are missing here, because whoever recorded could not keep up.
        data: the bytes: what one read of a port gave, or the payload of one message.
        joined: these bytes, or those behind this event, may begin in the middle of a frame.
        reason: how the link was lost.
        missing: bytes that a gap stands for.
        topic: of a message; empty if it was no UTF-8 text.
        qos, dup, retain: of a message.
    """

    time: int
    event: Literal["", "opened", "quiet", "lost", "gap"] = ""
    data: bytes = b""
    joined: bool = False
    reason: str = ""
    missing: int = 0
    topic: str = ""
    qos: int = 0
    dup: bool = False
    retain: bool = False


Tap = Callable[[Piece], None]
"""Hears every piece. Called from the event loop's thread; never blocks and never raises."""


@runtime_checkable
class RawSource(Source, Protocol):
    """A source that receives bytes of which it makes payloads, so that they can be recorded and tried again."""

    def tap(self, tap: Tap | None) -> None:
        """Let `tap` hear every piece from now on, before anything is made of it; None: nobody any more.

        On a link that is up it hears at once that it is `opened`. One tap at a time; without one it costs a look.
        """

    def replay(self, piece: Piece, intake: Intake) -> None:
        """Hand over what run() handed over when this piece came, as if it came now.

        Takes the pieces in their order, and touches no link. Not for a source that runs.
        """


@runtime_checkable
class DecodingSource(Source, Protocol):
    """A source whose payloads go through a decoder, so that one that could not be decoded can be tried again."""

    def origin(self, place: str, size: int, *, rejected: bool) -> Origin:
        """Where a payload comes from that came before and was not decoded, by the settings as they are. It remembers nothing.

        It had `size` bytes and came from `place`; `rejected`: it went to reject(), and not to payload().

        Raises:
            DecodeError: it must not be decoded now either.
        """
