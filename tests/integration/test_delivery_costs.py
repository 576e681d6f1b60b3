"""What troubles cost that nobody can do anything about: each test prints its price, and holds it to a bound."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import delivering
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from daemon import Daemon
from delivering import BATCH, COUNT
from far import far_kafka
from kafka import KafkaServer
from waiting import until, wait_until
from witness import Witness

from gateway import wire
from gateway.kafka.transactions import TRANSACTION_TIMEOUT

CLEANUP = 10.0
"""Seconds between two looks of a broker for transactions that have timed out, by default."""


def ends(server: KafkaServer, isolation: str) -> dict[int, int]:
    """By partition of the readings topic, up to where such a reader may read."""
    consumer = Consumer(
        {"bootstrap.servers": server.bootstrap, "group.id": "ends", "isolation.level": isolation}
    )
    try:
        partitions = consumer.list_topics("readings", 10).topics["readings"].partitions
        return {n: consumer.get_watermark_offsets(TopicPartition("readings", n), 10)[1] for n in partitions}
    finally:
        consumer.close()


def held_back(server: KafkaServer) -> list[int]:
    """Partitions in which a transaction is open."""
    everything, committed = ends(server, "read_uncommitted"), ends(server, "read_committed")
    return [n for n, end in everything.items() if committed[n] < end]


@contextmanager
def gateway(server: KafkaServer, run: int) -> Iterator[subprocess.Popen[bytes]]:
    """One that delivers, in a process of its own."""
    with subprocess.Popen([sys.executable, delivering.__file__, server.bootstrap, str(run)]) as process:
        try:
            yield process
        finally:
            process.kill()


def kill_in_mid_transaction(server: KafkaServer) -> int:
    """Freeze a gateway again and again until that falls into a transaction, and kill it there; a partition of that."""
    server.create_topic("readings", partitions=1)
    chance = random.Random(1)
    for run in range(20):
        with gateway(server, run) as process:
            while process.poll() is None:
                process.send_signal(signal.SIGSTOP)
                if held := held_back(server):
                    return held[0]
                process.send_signal(signal.SIGCONT)
                time.sleep(chance.uniform(0.0, 0.05))
    raise AssertionError("never in a transaction")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("comes_back", [False, True], ids=["stays-away", "comes-back"])
def test_a_gateway_killed_in_mid_transaction_holds_readers_back_no_longer_than_its_timeout(
    own_kafka: KafkaServer, *, comes_back: bool
) -> None:
    partition = kill_in_mid_transaction(own_kafka)
    killed = time.monotonic()
    neighbour = Producer({"bootstrap.servers": own_kafka.bootstrap})
    neighbour.produce("readings", b"of a neighbour", partition=partition)
    assert neighbour.flush(10) == 0
    assert held_back(own_kafka), "the neighbour's readers wait"

    if comes_back:
        with gateway(own_kafka, 100) as again:
            wait_until(lambda: not held_back(own_kafka) or again.poll() is not None, "readers to go on", 60)
            took = time.monotonic() - killed
            assert again.wait(60) == 0
        values = [record.value() for record in own_kafka.read_all("readings")]
        numbers = [wire.decode_reading(one or b"").value for one in values if one != b"of a neighbour"]
        assert sorted(map(int, map(str, numbers))) == list(range(COUNT))
    else:
        wait_until(lambda: not held_back(own_kafka), "readers to go on", 60)
        took = time.monotonic() - killed
        assert took < TRANSACTION_TIMEOUT + CLEANUP + 5
    print(f"readers of committed records were held back for {took:.1f} s")


@pytest.mark.timeout(180)
def test_a_topic_deleted_in_mid_flow_costs_what_was_in_it_and_what_was_on_its_way_at_most(
    own_kafka: KafkaServer,
) -> None:
    async def scenario() -> None:
        async with delivering.delivering(own_kafka.bootstrap, "run-0") as delivery:
            total = BATCH
            delivery.add(range(BATCH))
            await delivery.delivered()
            admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap})
            begin = total
            deleted = admin.delete_topics(["readings"])["readings"]
            while not deleted.done() or "readings" in (await asyncio.to_thread(admin.list_topics)).topics:
                delivery.add(range(total, total + BATCH))
                total += BATCH
                await asyncio.sleep(0.01)
            for _ in range(10):
                delivery.add(range(total, total + BATCH))
                total += BATCH
            began = time.monotonic()
            await delivery.delivered(120)
            await until(lambda: delivery.balanced, "the ledger to balance")
            print(f"the flow goes on {time.monotonic() - began:.1f} s after the topic went")
            assert delivery.ledger.totals()["line"].delivered == total
        # Only now: the last word is a transaction too, and comes after the markers of those before it.
        found = [int(str(value)) for value in numbers(own_kafka)]
        assert len(found) == len(set(found)), "repeated"
        assert min(found) >= BATCH, "the local position holds: what went stays gone"
        lost = set(range(begin, total)) - set(found)
        print(f"{len(lost)} of {total - begin} readings went with the old topic")
        assert not lost or max(lost) < min(found), (
            "only what Kafka had before the topic went, and nothing after it"
        )

    asyncio.run(scenario())


def numbers(server: KafkaServer) -> list[object]:
    return [wire.decode_reading(record.value() or b"").value for record in server.read_all("readings")]


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("kafka_installed")
def test_a_link_with_a_quarter_of_a_second_of_latency_spares_the_card_once_its_pace_is_known(
    tmp_path: Path,
) -> None:
    source = '[sources.sim]\nkind = "simulator"\ninterval = 0.05\n'
    with far_kafka(tmp_path / "kafka") as far:
        far.proxy.delay = 0.125  # each way
        with (
            Daemon(tmp_path / "gw", far.bootstrap, source) as daemon,
            Witness(tmp_path / "gw" / "state" / "spool", tmp_path / "aside") as witness,
        ):
            wait_until(lambda: daemon.delivered("sim") > 0, "the first delivery", 60)
            wait_until(lambda: not daemon.status()["spool"]["on_disk"], "what waited for it", 60)
            early = daemon.ledger("sim")["readings"]["made"]
            begin = daemon.status()["gateway"]["uptime_s"]
            wait_until(lambda: daemon.status()["gateway"]["uptime_s"] > begin + 12, "several rounds")
            total = daemon.delivered("sim")
            daemon.stop()
    late = sum(max(0, last - max(first, early)) for first, last in witness.spilled())
    print(f"{late} of {total - early} readings were written to disk")
    assert total > early
    assert late < (total - early) / 2
