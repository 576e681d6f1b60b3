"""A control socket with verbs of the test's choice, in a thread of its own, for commands that ask it."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gateway.control_server import ControlServer, StreamVerb, Verb


class Answering(NamedTuple):
    """Where it is, and its event loop."""

    path: Path
    loop: asyncio.AbstractEventLoop

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run this in the loop; returns its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)


@contextmanager
def answering(path: Path, verbs: Mapping[str, Verb | StreamVerb]) -> Iterator[Answering]:
    """Somebody answers these verbs at `path`, in the name of gatewayd."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    here = Answering(path, loop)
    try:
        server = ControlServer(path, verbs)
        here.do(server.start())
        try:
            yield here
        finally:
            here.do(server.close())
    finally:
        here.do(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
