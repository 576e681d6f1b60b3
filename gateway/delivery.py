"""Delivery for as long as the daemon runs: Forward at work, and the change from one sink to another."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from gateway.config import GatewayConfig
from gateway.forward import Forward
from gateway.heartbeat import Heartbeat
from gateway.kafka.sink import Sink

ROUND_DEADLINE: Final = 10.0
"""Seconds that a round has to end before another sink takes over. It is not lost then: it is sent again, or found."""


class Delivery:
    """Used from one event loop.

    Attributes:
        forward: what delivers.
    """

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self._work: asyncio.Task[None] | None = None

    async def run(self, attempt_done: Callable[[], None], heartbeat: Heartbeat) -> None:
        """Deliver until cancelled; see Forward.run."""
        while True:
            self._work = work = asyncio.create_task(self.forward.run(attempt_done, heartbeat), name="deliver")
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError:
                work.cancel()
                await asyncio.wait([work])
                raise
            if not work.cancelled():  # else redirect() did it
                work.result()

    async def redirect(self, config: GatewayConfig, sink: Sink) -> None:
        """Go by these settings, and deliver to this sink, which says how far its Kafka is. One call at a time.

        What is on its way ends first if Kafka answers, and the present sink hears that this is the last word. On return nothing
        uses it any more. Cancelled, it has changed nothing, or everything.
        """
        forward = self.forward
        between = await self._between_rounds()
        try:
            if between:
                await forward.finish()
            forward.use(config, sink)
            if self._work is not None:
                self._work.cancel()
                await asyncio.wait([self._work])
        finally:
            if between:
                forward.busy.release()

    async def _between_rounds(self) -> bool:
        """Hold up the next round, once none is on its way; False if Kafka is away, or takes too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ROUND_DEADLINE if self.forward.sink.link.reachable else 0):
                return await self.forward.busy.acquire()
        return False
