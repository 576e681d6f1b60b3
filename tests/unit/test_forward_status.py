"""How far the status records say that readings are delivered."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from delivering import Delivery

from gateway import heartbeat
from gateway.clock import Clock
from gateway.config import GatewayKafka
from gateway.heartbeat import Heartbeat
from gateway.kafka.client import Record
from gateway.kafka.sink import Link, Sent
from gateway.position import Position
from gateway.wire import decode_gateway_status


class TakingSink:
    """A Sink that takes everything.

    Attributes:
        taken: the records of each send().
    """

    link = Link(reachable=True, since=0.0, trouble="")

    def __init__(self) -> None:
        self.taken: list[Sequence[Record]] = []

    async def resume(self, _topics: Sequence[str], _attempt_done: Callable[[], None]) -> Position | None:
        return None

    async def send(
        self, records: Sequence[Record], _position: Position, _attempt_done: Callable[[], None]
    ) -> Sent:
        self.taken.append(records)
        return Sent(len(records), [], [], "")

    async def idle(self) -> None: ...

    async def close(self) -> None: ...


def test_a_status_that_travels_with_readings_says_up_to_the_last_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY", 0.0)
    sink, kafka = TakingSink(), GatewayKafka("nowhere:9092")
    beat = Heartbeat(kafka.status_topic, "pi-7", Clock(trusted=True), lambda: ("healthy", ()))

    async def scene() -> None:
        delivery = Delivery(kafka, sink, "run", heartbeat=beat)
        delivery.add(range(10))
        delivery.add(range(10, 20))
        await delivery.delivered()
        await delivery.end(in_order=False)

    asyncio.run(scene())
    *readings, status = next(records for records in sink.taken if len(records) > 1)
    assert [record.topic for record in readings] == [kafka.readings_topic] * 20
    assert decode_gateway_status(status.value).delivered_until == 20  # the reading with the number 19
