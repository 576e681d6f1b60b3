"""A TCP proxy between a client and a server that can be slow, go silent, or cut its connections."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

Tap = Callable[[bool, bytes], None]
"""Hears all data of one connection before it is passed on: whether it goes to the server, and the bytes."""


class Proxy:
    """Listens on a loopback port of its own, in a thread of its own. Use as a context manager.

    Attributes:
        port: where it listens.
        delay: seconds that each piece of data is held back, in either direction; may be changed at any time.
        refusing: close new connections at once; likewise.
    """

    def __init__(self, port: int, target: int, tap: Callable[[], Tap] | None = None) -> None:
        """Pass connections to `port` on to port `target`. `tap()` is called for each, in the proxy's thread."""
        self.port = port
        self.delay = 0.0
        self.refusing = False
        self._tap = tap
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._requests = asyncio.Event()
        self._answers = asyncio.Event()
        self._requests.set()
        self._answers.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def silence(self, *, requests: bool = True) -> None:
        """Pass nothing on, and close nothing: as a cable pulled behind a switch. Or let `requests` through."""
        if requests:
            self._loop.call_soon_threadsafe(self._requests.clear)
        self._loop.call_soon_threadsafe(self._answers.clear)

    def resume(self) -> None:
        """Pass on again, what was held back too."""
        self._loop.call_soon_threadsafe(self._requests.set)
        self._loop.call_soon_threadsafe(self._answers.set)

    def cut(self) -> None:
        """Close all connections; new ones are accepted."""
        self._do(self._cut())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        hear = self._tap() if self._tap else None
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._writers.add(sink)
            task = asyncio.create_task(self._pass_on(source, sink, hear, to_server=sink is far_writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, hear: Tap | None, *, to_server: bool
    ) -> None:
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sender = asyncio.create_task(self._send(held, sink, self._requests if to_server else self._answers))
        try:
            with contextlib.suppress(OSError):
                while data := await source.read(65_536):
                    if hear:
                        hear(to_server, data)
                    held.put_nowait((self._loop.time() + self.delay, data))
            held.put_nowait((self._loop.time() + self.delay, b""))
            with contextlib.suppress(OSError):
                await sender
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            self._writers.discard(sink)
            sink.transport.abort()

    async def _send(
        self, held: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter, flowing: asyncio.Event
    ) -> None:
        while True:
            due, data = await held.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            await flowing.wait()
            if not data:
                return
            sink.write(data)
            await sink.drain()
