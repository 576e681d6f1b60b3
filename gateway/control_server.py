"""The daemon's half of the control socket: who may ask what, and how much of it."""

import asyncio
import contextlib
import json
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import structlog

from gateway.config import ConfigError
from gateway.control import REQUEST_LIMIT, REQUEST_TIMEOUT, ControlError, ask
from gateway.control_places import CONNECTIONS, PACE, Full, Places
from gateway.peers import Members, Peer, peer_of

_log = structlog.get_logger()

ANSWER_TIMEOUT: Final = 5.0
"""Seconds a client may take to read its answer before the daemon hangs up."""

Answer = Callable[[dict[str, Any]], dict[str, Any]]
"""Answers one kind of request. Called from the event loop's thread; must not block."""

Stream = Callable[[dict[str, Any], asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Answers a request with more than one line, for as long as the other side listens."""


Whose = Literal["everybody", "members"]
"""Who may ask. `everybody` who can get to the socket: what only tells how the gateway is. `members` (peers.Members): what
changes something, or reveals what devices send or what is configured."""


class Verb(NamedTuple):
    """One thing that can be asked for, and who may."""

    whose: Whose
    answer: Answer


class StreamVerb(NamedTuple):
    """The same of an answer without an end."""

    whose: Whose
    stream: Stream


class ControlServer:
    """Answers requests on a Unix socket that everybody may open who can get to it.

    Whatever a client sends or leaves unread, it costs no more than control_places allows, and nothing ends but its own
    connection.
    """

    def __init__(self, path: Path, verbs: Mapping[str, Verb | StreamVerb]) -> None:
        self._path = path
        self._verbs = verbs
        self._places = Places()
        self._members = Members(os.geteuid(), os.getegid())
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. What a dead daemon left behind is replaced.

        Raises:
            ConfigError: the socket cannot be made, or another daemon answers there.
        """
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._check_folder()
            await asyncio.to_thread(self._clear)
            self._server = await asyncio.start_unix_server(
                self._connected, str(self._path), limit=REQUEST_LIMIT, backlog=CONNECTIONS
            )
            self._members = Members(os.geteuid(), self._path.stat().st_gid)
            self._path.chmod(0o666)
        except OSError as error:
            raise ConfigError(
                f"control.socket: {self._path} cannot be made: {error.strerror or error}; name another path"
            ) from None

    async def close(self) -> None:
        """Stop listening, end what is being answered, and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _check_folder(self) -> None:
        """Where others may replace files, they could answer in our place, or lead the mode of the socket to another file."""
        found, link = self._path.parent.stat(), self._path.parent.lstat()
        foreign = found.st_gid not in {0, os.getegid()}
        strangers = found.st_mode & (stat.S_IWOTH | (stat.S_IWGRP if foreign else 0))
        sticky = found.st_mode & stat.S_ISVTX
        if (strangers and not sticky) or {found.st_uid, link.st_uid} - {0, os.geteuid()}:
            raise ConfigError(
                f"control.socket: {self._path.parent} belongs to somebody else or others may write there; name another path"
            )

    def _clear(self) -> None:
        try:
            mode = self._path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise ConfigError(f"control.socket: {self._path} exists and is no socket; name another path")
        with contextlib.suppress(ControlError):
            ask(self._path, {"verb": "ping"}, timeout=1.0)
            raise ConfigError(
                f"control.socket: another gatewayd answers at {self._path}; stop it, or name another path"
            )
        self._path.unlink(missing_ok=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="control connection")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._admit(reader, writer)
        except (OSError, EOFError):  # of which TimeoutError is one: what is left of the answer, nobody wants
            writer.transport.abort()
        except Exception:  # noqa: BLE001 - a defect in one answer must not cost the others theirs
            _log.exception("control request failed")
            defect = "gatewayd has a defect here, which its log shows; please report it"
            writer.write(_line_of({"error": defect, "denied": True}))
        finally:
            writer.close()

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = peer_of(writer.get_extra_info("socket"))
        member = self._members.have(peer)
        try:
            with self._places.connection(peer.uid, member=member):
                await self._talk(peer, reader, writer)
                if not member:
                    await asyncio.sleep(PACE)
        except Full as full:
            with self._places.at_the_door():
                await asyncio.sleep(PACE)
                writer.write(_line_of(self._denied(peer, "", str(full))))

    async def _talk(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(REQUEST_TIMEOUT):
            line = await self._line(reader)
        request = self._request(line)
        name, member = request.get("verb", ""), self._members.have(peer)
        verb = self._verbs.get(name)
        if not line:
            answer = {"error": f"the request is longer than {REQUEST_LIMIT} bytes"}
        elif verb is None:
            answer = {"error": f"not understood; one JSON object with a verb of: {', '.join(self._verbs)}"}
        elif verb.whose == "members" and not member:
            answer = self._denied(peer, name, f"`{name}` is for {self._members}")
        elif isinstance(verb, StreamVerb):
            with self._places.stream(peer.uid):
                await verb.stream(request, reader, writer)
            await _sent(writer)
            return
        else:
            answer = verb.answer(request)
        said = _line_of(answer)
        with self._places.answer(len(said), member=member):
            writer.write(said)
            await _sent(writer)

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        """Without any byte, not even its end: it is too long."""
        try:
            return await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            return b""

    def _request(self, line: bytes) -> dict[str, Any]:
        """What is asked; empty if that is nothing we know."""
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {}
        known = isinstance(request, dict) and isinstance(request.get("verb"), str)
        return request if known else {}

    def _denied(self, peer: Peer, verb: str, problem: str) -> dict[str, Any]:
        _log.warning("control request refused", verb=verb, by_uid=peer.uid, by_pid=peer.pid, problem=problem)
        return {"error": problem, "denied": True}


def _line_of(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode() + b"\n"


async def _sent(writer: asyncio.StreamWriter) -> None:
    """Hang up, once the other side has taken all.

    Raises:
        OSError: it is gone, or, as TimeoutError, it takes too long.
    """
    writer.close()
    async with asyncio.timeout(ANSWER_TIMEOUT):
        await writer.wait_closed()
