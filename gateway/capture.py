"""Captures: what a source received, raw and with times, as lines of JSON.

The first line is the header: whose capture it is, and how the source was set to read it. Each line behind it is a
Piece (devices.source): bytes, written as `text` where they are plain text and else in `hex`, or an event. docs/capture.md
is the contract of the format.

A capture is only ever appended to. Whatever became of it since, it can be read: lines that are none are skipped and
reported, as is a last line that was torn.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from devices.source import Piece
from gateway.lines import TURN, Lines

VERSION: Final = 1

LINE_LIMIT: Final = 1_000_000
"""Longest line in bytes. A payload that would need a longer one is a gap."""

BUFFER: Final = 1_000_000
"""Bytes that wait for a reader who is slow, at most."""

READING_SETTINGS: Final = (
    "port",
    "broker",
    "topics",
    "framing",
    "max_frame",
    "max_payload",
    "decoder",
    "device",
    "sensor",
)
"""What of a source's table goes into the header: how its bytes are read. Nothing else, so no password."""

_BEGINNING: Final = b'{"capture":'


class Header(msgspec.Struct, frozen=True):
    """The first line of a capture.

    Attributes:
        capture: version of the format.
        gateway: id of the gateway; empty if the source was opened without one.
        source: name of the source.
        kind: its kind.
        time: when the capture began, in nanoseconds since 1970 UTC.
        settings: those settings of the source that say how its bytes are read, as in the configuration.
    """

    capture: int
    gateway: str
    source: str
    kind: str
    time: int
    settings: dict[str, Any]


class Line(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A Piece as it is written: `data` is `text` or `hex`."""

    time: int
    event: Literal["", "opened", "quiet", "lost", "gap"] = ""
    joined: bool = False
    reason: str = ""
    missing: int = 0
    topic: str = ""
    qos: int = 0
    dup: bool = False
    retain: bool = False
    text: str = ""
    hex: str = ""


class Unreadable(NamedTuple):
    """Lines of a capture, one behind the other, that are none.

    Attributes:
        first, last: numbers of the lines, the header being number 1.
        torn: it is the end of the last line that is missing, and nothing else.
    """

    first: int
    last: int
    torn: bool = False


class Readable(Protocol):
    """What captures are read from."""

    def read1(self, size: int, /) -> bytes:
        """Some bytes, at most `size`; none at the end."""


_encode = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(Line).decode
_decode_header = msgspec.json.Decoder(Header).decode


def header(gateway: str, source: str, table: Mapping[str, Any], time: int) -> bytes:
    """The first line of a capture of `source`, whose table in the configuration is `table`."""
    settings = {key: table[key] for key in READING_SETTINGS if key in table}
    return _encode(Header(VERSION, gateway, source, table["kind"], time, settings)) + b"\n"


def encode(piece: Piece) -> bytes:
    """A line of a capture, with its end."""
    text = _plain(piece.data)
    line = Line(
        piece.time,
        piece.event,
        piece.joined,
        piece.reason,
        piece.missing,
        piece.topic,
        piece.qos,
        piece.dup,
        piece.retain,
        text,
        "" if text else piece.data.hex(),
    )
    return _encode(line) + b"\n"


def decode(line: bytes) -> Piece | None:
    """The piece that a line holds, or None if it holds none."""
    try:
        found = _decode_line(line)
        data = bytes.fromhex(found.hex) if found.hex else found.text.encode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return Piece(
        found.time,
        found.event,
        data,
        found.joined,
        found.reason,
        found.missing,
        found.topic,
        found.qos,
        found.dup,
        found.retain,
    )


def begin(stream: Readable) -> tuple[Header | None, bytes]:
    """Look whether a capture begins here: its header, and what else was read. Without one, all that was read.

    No more is read than that takes: what comes slowly through a pipe need not come whole.
    """
    read = b""
    while True:
        sure = len(read) >= len(_BEGINNING)
        if not (read if sure else _BEGINNING).startswith(_BEGINNING if sure else read):
            return None, read
        line, end, rest = read.partition(b"\n")
        if end or len(read) > LINE_LIMIT:
            break
        more = stream.read1(TURN)
        if not more:
            return None, read
        read += more
    try:
        return _decode_header(line), rest
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None, read


def pieces(stream: Readable, rest: bytes) -> Iterator[Piece | Unreadable]:
    """The lines behind a header, `rest` being the first bytes of them. Where some are no pieces, a gap follows them."""
    bad: Unreadable | None = None
    number, time = 1, 0
    for line in _lines(stream, rest):
        number += 1
        piece = decode(line)
        if piece is None:
            torn = not line.endswith(b"\n") and not bad
            bad = Unreadable(bad.first if bad else number, number, torn)
            continue
        if bad:
            yield bad
            yield Piece(time, "gap", joined=True)
            bad = None
        time = piece.time
        yield piece
    if bad:
        yield bad


def _lines(stream: Readable, buffer: bytes) -> Iterator[bytes]:
    """Lines with their ends, the last one perhaps without. Of one that is too long to be one, b"" is told."""
    skipping = False
    while True:
        *whole, buffer = buffer.split(b"\n")
        for line in whole:
            yield b"\n" if skipping else line + b"\n"
            skipping = False
        if len(buffer) > LINE_LIMIT:
            skipping, buffer = True, b""
        more = stream.read1(TURN)
        if not more:
            break
        buffer += more
    if buffer or skipping:
        yield buffer


class Recorder:
    """Takes the pieces of a source and keeps their lines until they are taken, within bounds: a Tap.

    What there is no room for is counted, and told as a gap once half of the room is free again.

    Attributes:
        on_line: called when there is something to take.
    """

    def __init__(self, room: int = BUFFER) -> None:
        self.on_line: Callable[[], None] = _nothing
        self._room = room
        self._lines = Lines()
        self._missing = 0
        self._gap: Piece | None = None
        self._reopened: Piece | None = None

    def __call__(self, piece: Piece) -> None:
        """See devices.source.Tap."""
        line = encode(piece) if self._gap is None else b""
        if line and len(line) <= LINE_LIMIT and self._lines.size + len(line) <= self._room:
            self._lines.add(line)
        else:
            self._missing += len(piece.data)
            self._gap = Piece(piece.time, "gap", joined=True, missing=self._missing)
            self._reopened = (
                Piece(piece.time, "opened", joined=True) if piece.event == "opened" else self._reopened
            )
            self._close_gap()
        self.on_line()

    def take(self) -> bytes:
        """See lines.Lines."""
        taken = self._lines.take()
        self._close_gap()
        return taken

    def _close_gap(self) -> None:
        if self._gap is None or self._lines.size > self._room // 2:
            return
        self._lines.add(encode(self._gap))
        if self._reopened:
            self._lines.add(encode(self._reopened))
        self._gap, self._reopened, self._missing = None, None, 0


def _nothing() -> None:
    """Nobody wants to know."""


def _plain(data: bytes) -> str:
    """The text that the bytes are, if a person can read it; else nothing."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return ""
    return text if text.translate(_LINE_ENDS).isprintable() else ""


_LINE_ENDS: Final = {ord(one): None for one in "\r\n\t"}
