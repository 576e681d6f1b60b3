"""Sends readings as they come in to whoever asks on the control socket. Nobody who is slow holds up a source."""

import asyncio
import fnmatch
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from devices.reading import Reading
from gateway.lines import Lines
from gateway.pour import end_of, pour, pour_out
from gateway.wire import flags_of

MOST: Final = 4
"""Tails at a time: each looks at every reading that comes in."""

BUFFER: Final = 250_000
"""Bytes that wait for a reader who is slow, at most: some two thousand readings."""


class Line(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A reading as it is shown. Its keys are those of the readings topic (docs/records.md), as far as they are known yet."""

    source: str
    device: str
    sensor: str
    time: int
    received: int
    value: float | int | bool | str
    unit: str = ""
    flags: tuple[str, ...] = ()


class LeftOut(msgspec.Struct, frozen=True):
    """In the place of so many readings for which there was no room."""

    left_out: int


_encode = msgspec.json.Encoder().encode


class Tail:
    """What one listener wants to hear and did not take yet: a Tank.

    Attributes:
        on_line: called when there is something to take.
    """

    def __init__(self, source: str, device: str, sensor: str) -> None:
        """`device` and `sensor` are shell patterns; empty: all, and so is an empty `source`."""
        self.on_line: Callable[[], None] = lambda: None
        self._source = source
        self._device = _matcher(device)
        self._sensor = _matcher(sensor)
        self._lines = Lines()
        self._left_out = 0

    def heard(self, readings: Sequence[Reading]) -> None:
        """These came in, all at once."""
        source, device, sensor = self._source, self._device, self._sensor
        wanted = [
            one
            for one in readings
            if (not source or one.source == source)
            and (device is None or device(one.device))
            and (sensor is None or sensor(one.sensor))
        ]
        for place, one in enumerate(wanted):
            if self._left_out or self._lines.size > BUFFER:
                self._left_out += len(wanted) - place
                break
            self._lines.add(_encode(_shown(one)) + b"\n")
        if wanted:
            self.on_line()

    def take(self) -> bytes:
        """See lines.Lines."""
        taken = self._lines.take()
        if self._left_out and self._lines.size < BUFFER // 2:
            self._lines.add(_encode(LeftOut(self._left_out)) + b"\n")
            self._left_out = 0
        return taken


class Tails:
    """The verb `tail` of the control socket; see docs/live.md."""

    def __init__(self, sources: Callable[[], Collection[str]]) -> None:
        """`sources` names those that there are."""
        self._sources = sources
        self._tails: set[Tail] = set()

    def heard(self, readings: Sequence[Reading]) -> None:
        """Called once per batch. While nobody listens it does nothing."""
        for tail in self._tails:
            tail.heard(readings)

    async def serve(
        self, request: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Send a line for each reading until the other side closes its half, or say in an `error` why not.

        The request has, if it is to be filtered, `source`, a name, and `device` and `sensor`, shell patterns. The first line is
        `{"tail": 1}`.
        """
        wanted = [request.get(key, "") for key in ("source", "device", "sensor")]
        sources = self._sources()
        if not all(isinstance(one, str) for one in wanted):
            refusal = "`source`, `device` and `sensor` are texts"
        elif wanted[0] and wanted[0] not in sources:
            refusal = f"there is no source {wanted[0]!r}; there are: {', '.join(sources)}"
        elif len(self._tails) == MOST:
            refusal = f"{MOST} tails run already; end one of them first"
        else:
            await self._tail(Tail(*wanted), reader, writer)
            return
        writer.write(json.dumps({"error": refusal}).encode() + b"\n")

    async def _tail(self, tail: Tail, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"tail":1}\n')
        self._tails.add(tail)
        try:
            await pour(tail, end_of(reader), writer)
        finally:
            self._tails.discard(tail)
        await pour_out(tail, writer)


def _matcher(pattern: str) -> Callable[[str], object] | None:
    return re.compile(fnmatch.translate(pattern)).match if pattern else None


def _shown(one: Reading) -> Line:
    return Line(
        one.source,
        one.device,
        one.sensor,
        one.time,
        one.received,
        one.value,
        one.unit,
        flags_of(one.quality),
    )
