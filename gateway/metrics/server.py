"""A page for Prometheus over HTTP, as little of it as a scrape needs, bounded in every direction."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterable
from typing import Final, Self

import structlog

from devices.errors import SettingError
from gateway.config import ConfigError, Metrics
from gateway.metrics.text import CONTENT_TYPE, Family, page

_log = structlog.get_logger()

MOST: Final = 8
"""Connections at a time; who comes beyond is sent away."""

DEADLINE: Final = 5.0
"""Seconds from the connection to the last byte of the answer; then it is cut."""

REQUEST_LIMIT: Final = 8192
"""Longest head of a request, in bytes."""

_IPV6_FREEBIND: Final = 78  # Linux; Python has no name for it, nor for the next before 3.14
_IP_FREEBIND: Final = 15

_NOT_FOUND: Final = "Metrics are at /metrics.\n"


class MetricsServer:
    """Serves GET /metrics within `async with`, one request a connection. Does nothing if `settings.listen` is empty."""

    def __init__(self, settings: Metrics, families: Callable[[], Iterable[Family]]) -> None:
        """`families` are asked for at each request, in the event loop's thread."""
        self._listen = settings.listen
        self._families = families
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._failed = False

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            ConfigError: another program has the port, or this one may not have it.
        """
        await self._start(self._listen)
        return self

    async def move(self, settings: Metrics) -> None:
        """Listen there from now on; who is being answered gets his answer.

        Raises:
            ConfigError: as above; it listens where it did, if nobody took that in the moment between.
        """
        if settings.listen == self._listen:
            return
        if self._server is not None:
            self._server.close()  # first, as the new address may be all addresses, this one too
        before, self._listen = self._listen, ""
        try:
            await self._start(settings.listen)
        except ConfigError:
            with contextlib.suppress(ConfigError):  # taken meanwhile: the next move may go there, too
                await self._start(before)
                self._listen = before
            raise
        self._listen = settings.listen

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, and cut what is being answered."""
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*(task for task in self._open.values() if task is not None))

    async def _start(self, listen: str) -> None:
        self._server = None
        if listen:
            sock = self._bound(listen)
            self._server = await asyncio.start_server(self._serve, sock=sock, limit=REQUEST_LIMIT)
            _log.info("metrics are served", at=f"http://{listen}/metrics")

    def _bound(self, listen: str) -> socket.socket:
        host, _, port = listen.rpartition(":")
        address = (host.strip("[]"), int(port))
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with contextlib.ExitStack() as stack:
            try:
                listening = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._bind(listening, address)
                listening.listen(MOST)
            except OSError as error:
                mistake = SettingError("metrics.listen", f"{listen!r} cannot be listened on: {_why(error)}")
                raise ConfigError(str(mistake), mistake) from None
            stack.pop_all()
        return listening

    def _bind(self, listening: socket.socket, address: tuple[str, int]) -> None:
        try:
            listening.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            # After a power cut the network may come later than we do: that must not end the gateway.
            six = listening.family == socket.AF_INET6
            level, option = (
                (socket.IPPROTO_IPV6, _IPV6_FREEBIND) if six else (socket.IPPROTO_IP, _IP_FREEBIND)
            )
            listening.setsockopt(level, option, 1)
            listening.bind(address)
            _log.warning(
                "metrics wait for their address",
                address=address[0],
                remedy="served once this machine has it; if it never will, correct metrics.listen",
            )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MOST:
            writer.transport.abort()
            return
        self._open[writer] = asyncio.current_task()
        # What is written counts as sent only when the kernel has all of it.
        writer.transport.set_write_buffer_limits(0)
        try:
            async with asyncio.timeout(DEADLINE):
                writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
            writer.close()
        except asyncio.LimitOverrunError:
            writer.write(_response("431 Request Header Fields Too Large", "Too long.\n"))
            writer.close()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            del self._open[writer]
            if not writer.is_closing():
                writer.transport.abort()

    def _answer(self, head: bytes) -> bytes:
        match head.split(b"\r\n", 1)[0].split(b" "):
            case [b"GET" | b"HEAD" as method, target, version] if version.startswith(b"HTTP/1."):
                if target.split(b"?", 1)[0] != b"/metrics":
                    return _response("404 Not Found", _NOT_FOUND)
                return self._page(body=method == b"GET")
            case [_, _, version] if version.startswith(b"HTTP/1."):
                return _response("405 Method Not Allowed", _NOT_FOUND, "Allow: GET, HEAD\r\n")
        return _response("400 Bad Request", "Not understood.\n")

    def _page(self, *, body: bool) -> bytes:
        try:
            text = page(self._families())
        except Exception:  # noqa: BLE001 - whatever it is, readings are delivered without metrics too
            if not self._failed:
                _log.exception("metrics cannot be made")
                self._failed = True
            return _response("500 Internal Server Error", "The log says why.\n")
        return _response("200 OK", text, kind=CONTENT_TYPE, body=body)


def _response(
    status: str, text: str, more: str = "", *, kind: str = "text/plain; charset=utf-8", body: bool = True
) -> bytes:
    data = text.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{more}Connection: close\r\n\r\n"
    return head.encode() + (data if body else b"")


def _why(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another program listens there; stop it, or name another port"
        case errno.EACCES:
            return "only root may listen on ports below 1024; name another port"
    return (
        f"{error.strerror or error}; allowed: an address and a port of this machine, such as 127.0.0.1:9464"
    )
