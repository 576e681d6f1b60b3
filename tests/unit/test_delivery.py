"""The change from one Kafka to another while readings are on their way."""

import asyncio
from collections.abc import Callable, Sequence

import delivering
import pytest
from waiting import until

from gateway import delivery
from gateway.clock import Clock
from gateway.config import GatewayConfig, GatewayKafka
from gateway.delivery import Delivery
from gateway.forward import Forward, RivalError
from gateway.heartbeat import Heartbeat
from gateway.kafka.client import KafkaUnavailableError, Record
from gateway.kafka.sink import Link, PositionUnknownError, Sent
from gateway.ledger import Ledger
from gateway.position import Position
from gateway.wire import decode_gateway_status, decode_reading

CONFIG = GatewayConfig({}, kafka=GatewayKafka("here:9092"))


class Cluster:
    """What a Kafka holds."""

    def __init__(self, position: Position | None = None) -> None:
        self.records: list[Record] = []
        self.position = position

    def values(self) -> list[object]:
        topic = CONFIG.kafka.readings_topic
        return [decode_reading(one.value).value for one in self.records if one.topic == topic]

    def states(self) -> list[str]:
        topic = CONFIG.kafka.status_topic
        return [decode_gateway_status(one.value).state for one in self.records if one.topic == topic]


class HeldSink:
    """A Sink that writes to a cluster, exactly once, and can be held: before it writes, or behind that."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.link = Link(reachable=True, since=0.0, trouble="")
        self.before, self.behind = asyncio.Event(), asyncio.Event()
        self.before.set()
        self.behind.set()
        self.sending = self.closed = False
        self._ready = False

    async def resume(self, _topics: Sequence[str], _attempt_done: Callable[[], None]) -> Position | None:
        if not self.link.reachable:
            raise KafkaUnavailableError("away")
        self._ready = True
        return self.cluster.position

    async def send(
        self, records: Sequence[Record], position: Position, _attempt_done: Callable[[], None]
    ) -> Sent:
        if not self._ready:
            raise PositionUnknownError("an earlier call was not finished")
        self._ready, self.sending = False, True
        await self.before.wait()
        self.cluster.records += records
        self.cluster.position = position
        await self.behind.wait()
        self._ready, self.sending = True, False
        return Sent(len(records), [], [], "")

    async def idle(self) -> None: ...

    async def close(self) -> None:
        self.closed = True


class Rig:
    """A Delivery at work on a spool."""

    def __init__(self, sink: HeldSink, *runs: str) -> None:
        self.ledger = Ledger()
        self.spool = delivering.KeptSpool(self.ledger, runs or ("run",))
        clock = Clock(trusted=True)
        forward = Forward(self.spool, sink, self.ledger, CONFIG, "pi-7", clock=clock)
        self.delivery = Delivery(forward)
        beat = Heartbeat(CONFIG.kafka.status_topic, "pi-7", clock, lambda: ("healthy", ()))
        self.task = asyncio.create_task(self.delivery.run(lambda: None, beat))

    def add(self, *numbers: int) -> None:
        self.ledger.source("line").made += len(numbers)
        self.spool.append(delivering.batch_of(numbers))

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        assert self.ledger.snapshot(self.spool.depth().in_memory, {})["balanced"]


def test_what_is_on_its_way_ends_first_and_the_rest_goes_to_the_new_one() -> None:
    async def scene() -> None:
        old, new = HeldSink(Cluster()), HeldSink(Cluster())
        rig = Rig(old)
        await until(lambda: old.cluster.position, "the first word")
        old.before.clear()
        rig.add(0, 1)
        await until(lambda: old.sending, "the round")
        rig.add(2)
        moving = asyncio.create_task(rig.delivery.redirect(CONFIG, new))
        await asyncio.sleep(0)
        old.before.set()
        await moving
        rig.add(3)
        await rig.spool.empty()

        assert old.cluster.values() + new.cluster.values() == [0, 1, 2, 3]
        assert old.cluster.values()[:2] == [0, 1]
        assert old.cluster.position is not None
        assert old.cluster.position.ended
        assert old.cluster.states()[-1] == "stopped"
        assert new.cluster.states()[0] == "running"
        assert new.cluster.position is not None
        assert not new.cluster.position.ended
        assert new.cluster.position.ledger["line"].delivered == 4
        await rig.end()

    asyncio.run(scene())


def test_nobody_waits_for_a_kafka_that_is_away() -> None:
    async def scene() -> None:
        old, new = HeldSink(Cluster()), HeldSink(Cluster())
        rig = Rig(old)
        await until(lambda: old.cluster.position, "the first word")
        old.before.clear()
        rig.add(0)
        await until(lambda: old.sending, "the round")
        old.link = Link(reachable=False, since=0.0, trouble="away")
        async with asyncio.timeout(1):
            await rig.delivery.redirect(CONFIG, new)
            await rig.spool.empty()

        assert (old.cluster.values(), new.cluster.values()) == ([], [0])
        await rig.end()

    asyncio.run(scene())


def test_a_round_of_which_only_kafka_knows_is_not_repeated_where_both_are_one_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "ROUND_DEADLINE", 0.05)

    async def scene() -> None:
        cluster = Cluster()
        old, new = HeldSink(cluster), HeldSink(cluster)
        rig = Rig(old)
        await until(lambda: cluster.position, "the first word")
        old.behind.clear()
        rig.add(0, 1)
        await until(cluster.values, "the round, which never hears of its end")
        await rig.delivery.redirect(CONFIG, new)
        rig.add(2)
        await rig.spool.empty()

        assert cluster.values() == [0, 1, 2]
        await rig.end()

    asyncio.run(scene())


def test_an_earlier_run_in_the_new_kafka_is_no_rival_but_one_that_comes_later_is() -> None:
    async def scene() -> None:
        earlier = Position(delivering.SPOOL, "earlier", 0, 0, 0, False, {})
        old, new = HeldSink(Cluster()), HeldSink(Cluster(earlier))
        rig = Rig(old, "earlier", "run")
        await until(lambda: old.cluster.position, "the first word")
        await rig.delivery.redirect(CONFIG, new)
        rig.add(0)
        await rig.spool.empty()
        assert new.cluster.values() == [0]
        assert rig.delivery.forward.unclean_stops == 0  # that of the first Kafka

        new.cluster.position = Position("another", "rival", 0, 0, 0, False, {})
        new._ready = False
        rig.add(1)
        await until(rig.task.done, "the end")
        with pytest.raises(RivalError):
            rig.task.result()

    asyncio.run(scene())


def test_a_change_that_is_cancelled_leaves_delivery_at_work() -> None:
    async def scene() -> None:
        old, new = HeldSink(Cluster()), HeldSink(Cluster())
        rig = Rig(old)
        await until(lambda: old.cluster.position, "the first word")
        old.before.clear()
        rig.add(0)
        await until(lambda: old.sending, "the round")
        moving = asyncio.create_task(rig.delivery.redirect(CONFIG, new))
        await asyncio.sleep(0)
        moving.cancel()
        await asyncio.wait([moving])
        old.before.set()
        rig.add(1)
        await rig.spool.empty()

        assert (old.cluster.values(), new.cluster.values()) == ([0, 1], [])
        assert rig.delivery.forward.sink is old
        await rig.end()

    asyncio.run(scene())
