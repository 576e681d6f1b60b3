"""Sends a capture of a source to whoever asks for one on the control socket. Nobody who is slow holds up the source."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from devices.source import RawSource
from gateway.capture import Recorder, header
from gateway.pour import end_of, pour, pour_out
from gateway.sources import SourceSpec

MOST: Final = 4
"""Captures at a time: each may take up to a megabyte for a reader who is slow."""

_log = structlog.get_logger()


class Captures:
    """The verb `capture` of the control socket; see docs/capture.md."""

    def __init__(
        self, specs: Sequence[SourceSpec], tables: Mapping[str, Mapping[str, Any]], gateway: str
    ) -> None:
        """`tables` are those of the sources in the configuration, by name; `gateway` is the id."""
        self._sources = {spec.source.name: spec.source for spec in specs}
        self._tables = tables
        self._gateway = gateway
        self._captured: dict[str, asyncio.Task[None]] = {}

    def follow(self, specs: Sequence[SourceSpec], tables: Mapping[str, Mapping[str, Any]]) -> None:
        """These are the sources from now on. The captures of those that were closed for it come to their end."""
        before, self._sources = self._sources, {spec.source.name: spec.source for spec in specs}
        self._tables = tables
        for name, enough in self._captured.items():
            if self._sources.get(name) is not before[name]:
                enough.cancel()

    async def serve(
        self, request: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Send header and lines of a source until the other side closes its half, or say in an `error` why not."""
        name = request.get("source")
        source = self._sources.get(name) if isinstance(name, str) else None
        if source is None:
            refusal = f"there is no source {name!r}; there are: {', '.join(self._sources)}"
        elif not isinstance(source, RawSource):
            refusal = f"source {source.name} makes readings of its own: there are no raw bytes to capture"
        elif source.name in self._captured:
            refusal = f"source {source.name} is being captured already; end that first"
        elif len(self._captured) == MOST:
            refusal = (
                f"{MOST} captures run already, of {', '.join(sorted(self._captured))}; end one of them first"
            )
        else:
            await self._capture(source, reader, writer)
            return
        writer.write(json.dumps({"error": refusal}).encode() + b"\n")

    async def _capture(
        self, source: RawSource, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        recorder = Recorder()
        writer.write(header(self._gateway, source.name, self._tables[source.name], time.time_ns()))
        source.tap(recorder)
        _log.info("capture begins", source=source.name)
        self._captured[source.name] = enough = end_of(reader)
        try:
            await pour(recorder, enough, writer)
        finally:
            source.tap(None)
            del self._captured[source.name]
            _log.info("capture ended", source=source.name)
        await pour_out(recorder, writer)  # the other side may have closed its half only
