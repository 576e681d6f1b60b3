"""The daemon's half of the control socket."""

import asyncio
import contextlib
import json
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from gateway.config import ConfigError
from gateway.control import REQUEST_LIMIT, REQUEST_TIMEOUT, ControlError, Verb, ask

_log = structlog.get_logger()


Stream = Callable[[dict[str, Any], asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Answers a request with more than one line, for as long as the other side listens."""


class ControlServer:
    """Answers requests on a Unix socket that its owner and group may open."""

    def __init__(
        self, path: Path, verbs: Mapping[str, Verb], streams: Mapping[str, Stream] | None = None
    ) -> None:
        self._path = path
        self._verbs = verbs
        self._streams = streams or {}
        self._streaming: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. What a dead daemon left behind is replaced.

        Raises:
            ConfigError: the socket cannot be made, or another daemon answers there.
        """
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._check_folder()
            await asyncio.to_thread(self._clear)
            self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=REQUEST_LIMIT)
            self._path.chmod(0o660)
        except OSError as error:
            raise ConfigError(
                f"control.socket: {self._path} cannot be made: {error.strerror or error}; name another path"
            ) from None

    async def close(self) -> None:
        """Stop listening, end what is being answered, and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for task in self._streaming:
            task.cancel()
        await asyncio.gather(*self._streaming, return_exceptions=True)

    def _check_folder(self) -> None:
        """Where everybody may replace files, anybody could answer in our place."""
        found = self._path.parent.stat()
        strangers = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
        if strangers or found.st_uid not in {0, os.getuid()}:
            raise ConfigError(
                f"control.socket: {self._path.parent} belongs to somebody else or is open to all; name another path"
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
                async with asyncio.timeout(REQUEST_TIMEOUT):
                    request = self._request(await self._line(reader))
                    stream = self._streams.get(request.get("verb", ""))
                    if stream is None:
                        writer.write(self._answer(request))
                        await writer.drain()
                        return
                await self._keep_answering(stream(request, reader, writer))
        finally:
            writer.close()

    async def _keep_answering(self, answering: Awaitable[None]) -> None:
        task = asyncio.ensure_future(answering)
        self._streaming.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._streaming.discard(task)
        if not task.cancelled():
            task.result()

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            return b""

    def _request(self, line: bytes) -> dict[str, Any]:
        """What is asked; empty if that is nothing we know."""
        try:
            request: dict[str, Any] = json.loads(line)
            known = request["verb"] in self._verbs or request["verb"] in self._streams
        except (ValueError, KeyError, TypeError, RecursionError):
            known = False
        return request if known else {}

    def _answer(self, request: dict[str, Any]) -> bytes:
        if request:
            answer = self._verbs[request["verb"]](request)
        else:
            known = ", ".join([*self._verbs, *self._streams])
            answer = {"error": f"not understood; one JSON object with a verb of: {known}"}
        return json.dumps(answer).encode() + b"\n"
