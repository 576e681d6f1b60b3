"""The verb `capture`: what it taps, lets go of, and refuses."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from devices.source import Intake, Piece, Tap
from gateway import capture, capture_server
from gateway.capture_server import Captures
from gateway.control_server import ControlServer, StreamVerb
from gateway.sources import SourceSpec
from gateway.testing import ScriptedSource, connects


class Raw(ScriptedSource):
    """A source of which the test itself hands over the pieces."""

    def __init__(self, name: str) -> None:
        super().__init__(connects, name=name)
        self.heard: list[Tap | None] = []

    def tap(self, tap: Tap | None) -> None:
        self.heard.append(tap)

    def say(self, data: bytes) -> None:
        tap = self.heard[-1]
        assert tap
        tap(Piece(1, data=data))

    def replay(self, piece: Piece, intake: Intake) -> None:
        """Nothing is replayed here."""


class Asking:
    """Asks a server for captures."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    async def __call__(
        self, source: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, dict[str, Any]]:
        """The connection, and the first line of the answer."""
        reader, writer = await asyncio.open_unix_connection(self._path)
        writer.write(json.dumps({"verb": "capture", "source": source}).encode() + b"\n")
        return reader, writer, json.loads(await reader.readline())


def serve(folder: Path, sources: list[Raw], scene: Callable[[Asking], Awaitable[None]]) -> None:
    async def run() -> None:
        tables = {source.name: {"kind": "serial", "port": "/dev/x"} for source in sources}
        captures = Captures([SourceSpec(source) for source in sources], tables, "pi-7")
        server = ControlServer(folder / "d.sock", {"capture": StreamVerb("members", captures.serve)})
        await server.start()
        try:
            await scene(Asking(folder / "d.sock"))
        finally:
            await server.close()

    asyncio.run(run())


def test_the_pieces_go_to_who_asked_and_the_tap_ends_with_him(tmp_path: Path) -> None:
    source = Raw("one")

    async def scene(ask: Asking) -> None:
        reader, writer, head = await ask("one")
        assert (head["gateway"], head["source"], head["settings"]) == ("pi-7", "one", {"port": "/dev/x"})
        source.say(b"t=1\n")
        assert capture.decode(await reader.readline()) == Piece(1, data=b"t=1\n")
        source.say(b"t=2\n")
        writer.write_eof()
        assert capture.decode(await reader.readline()) == Piece(1, data=b"t=2\n"), "all there is, to the last"
        assert await reader.read() == b""
        assert len(source.heard) == 2
        assert source.heard[-1] is None
        writer.close()

    serve(tmp_path, [source], scene)


def test_a_reader_who_vanished_while_lines_wait_ends_the_tap_too(tmp_path: Path) -> None:
    source = Raw("one")

    async def scene(ask: Asking) -> None:
        _, writer, _ = await ask("one")
        for _ in range(200):
            source.say(b"\xff" * 4000)
        await asyncio.sleep(0)
        writer.transport.abort()
        await until(lambda: source.heard[-1] is None, "the end of the tap")
        _, again, head = await ask("one")
        assert "error" not in head
        again.close()

    serve(tmp_path, [source], scene)


def test_no_more_captures_than_there_is_memory_for(tmp_path: Path) -> None:
    sources = [Raw(f"line-{number}") for number in range(capture_server.MOST + 1)]

    async def scene(ask: Asking) -> None:
        writers = []
        for source in sources[:-1]:
            _, writer, head = await ask(source.name)
            assert "error" not in head
            writers.append(writer)
        _, refused, head = await ask(sources[-1].name)
        assert head["error"].startswith("4 captures run already, of line-0, line-1, line-2, line-3")
        for writer in (*writers, refused):
            writer.close()

    serve(tmp_path, sources, scene)


@pytest.mark.parametrize("name", [None, 7, ["one"], {}, "two", ""])
def test_what_is_no_source_is_told_which_are(tmp_path: Path, name: Any) -> None:
    async def scene(ask: Asking) -> None:
        _, writer, head = await ask(name)
        assert head["error"].endswith("there are: one")
        writer.close()

    serve(tmp_path, [Raw("one")], scene)


def test_the_capture_of_a_source_that_is_closed_ends_and_those_of_others_go_on(tmp_path: Path) -> None:
    kept, gone, new = Raw("kept"), Raw("gone"), Raw("gone")

    async def run() -> None:
        tables = {"kept": {"kind": "serial"}, "gone": {"kind": "serial"}}
        captures = Captures([SourceSpec(kept), SourceSpec(gone)], tables, "pi-7")
        server = ControlServer(tmp_path / "d.sock", {"capture": StreamVerb("members", captures.serve)})
        await server.start()
        ask = Asking(tmp_path / "d.sock")
        one, other = await ask("kept"), await ask("gone")
        gone.say(b"last")
        captures.follow([SourceSpec(kept), SourceSpec(new)], tables)

        assert (await other[0].read()).count(b"\n") == 1
        kept.say(b"on")
        assert await one[0].readline()
        again = await ask("gone")
        new.say(b"first")
        assert capture.decode(await again[0].readline()) == Piece(1, data=b"first")
        for _, writer, _ in (one, other, again):
            writer.close()
        await server.close()

    asyncio.run(run())
