"""Faults that end or freeze programs."""

import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

from plant import Fault, Plant, nothing
from proxy import Proxy

TRANSACTION: Final = {
    "AddPartitionsToTxn": 24,
    "Produce": 0,
    "AddOffsetsToTxn": 25,
    "TxnOffsetCommit": 28,
    "EndTxn": 26,
}
"""Requests of a transaction, in their order, and their numbers in Kafka's protocol."""

NEXT_TRANSACTION: Final = 30.0
REJOIN: Final = 90.0
"""Seconds until the next transaction must come, and until gateway-detect must have its partitions again: Kafka takes the
dead one for alive for ten."""


@contextmanager
def kill_gateway(plant: Plant, chance: random.Random) -> Iterator[None]:
    """kill -9 of gatewayd."""
    del chance
    plant.gateway.kill()
    yield
    plant.gateway.start()


@contextmanager
def kill_one_broker(plant: Plant, chance: random.Random) -> Iterator[None]:
    """kill -9 of one of three Kafka brokers."""
    number = chance.randrange(len(plant.cluster.brokers))
    plant.wounds.note = f"broker {number + 1}"
    broker = plant.cluster.brokers[number]
    broker.kill()
    yield
    broker.start()


@contextmanager
def kill_all_brokers(plant: Plant, chance: random.Random) -> Iterator[None]:
    """kill -9 of all Kafka brokers, which come back together."""
    brokers = list(plant.cluster.brokers)
    chance.shuffle(brokers)
    for broker in brokers:
        broker.kill()
    yield
    plant.cluster.start(brokers)


@contextmanager
def freeze_broker(plant: Plant, chance: random.Random) -> Iterator[None]:
    """One Kafka broker answers nothing for a while, while its connections stay."""
    broker = chance.choice(plant.cluster.brokers)
    broker.freeze()
    try:
        yield
    finally:
        broker.thaw()


@contextmanager
def kill_mosquitto(plant: Plant, chance: random.Random) -> Iterator[None]:
    """kill -9 of the MQTT broker."""
    del chance
    plant.kill_mosquitto()
    yield
    plant.mosquitto.start()


@contextmanager
def kill_detector(plant: Plant, chance: random.Random) -> Iterator[None]:
    """kill -9 of gateway-detect."""
    del chance
    plant.detector.kill()
    yield
    plant.detector.start()
    ends = plant.cluster.ends("readings")
    plant.wounds.checks.append(lambda: _goes_on(plant, ends))


def _goes_on(plant: Plant, ends: Mapping[int, int]) -> str:
    """Whether gateway-detect has read further than these offsets; what is wrong, if not."""
    deadline = time.monotonic() + REJOIN
    while time.monotonic() < deadline:
        done = plant.cluster.committed("gateway-detect", "readings")
        if all(done.get(partition, 0) >= end for partition, end in ends.items()):
            return "" if plant.detector.running else "gateway-detect ended by itself"
        time.sleep(0.2)
    return f"gateway-detect does not go on: it stands at {done}, and Kafka was at {dict(ends)} when it was started"


@contextmanager
def kill_in_transaction(plant: Plant, chance: random.Random) -> Iterator[None]:
    """kill -9 of gatewayd at a chosen request of a transaction: Kafka gets it after its death, or cannot answer it."""
    step = chance.choice(list(TRANSACTION))
    late, later = (chance.choice([True, False]) for _ in range(2))
    # Long enough for the request to do its work, if it is let through; or for what it is about to be on disk as well.
    held = chance.choice([0.1, plant.spill_after + 1.0])
    plant.wounds.note = f"{step} {'comes after the death' if late else 'is not answered'}"
    cluster = plant.cluster
    caught = threading.Event()

    def spring(proxy: Proxy) -> None:
        proxy.silence(requests=late)
        caught.set()

    for proxy, watch in zip(cluster.proxies, cluster.watches, strict=True):
        watch.on(TRANSACTION[step], partial(spring, proxy))
    try:
        assert caught.wait(NEXT_TRANSACTION), f"no {step} came"
        time.sleep(held)
        plant.gateway.kill()
        for watch in cluster.watches:
            watch.off()
        if later:
            yield
            plant.gateway.start()
    finally:
        for proxy, watch in zip(cluster.proxies, cluster.watches, strict=True):
            watch.off()
            proxy.resume()
    if not later:
        yield
        plant.gateway.start()


FAULTS: Final[dict[str, Fault]] = {
    "no fault": nothing,
    "kill -9 gatewayd": kill_gateway,
    "kill -9 gatewayd in mid-transaction": kill_in_transaction,
    "kill -9 one broker": kill_one_broker,
    "kill -9 all brokers": kill_all_brokers,
    "freeze one broker": freeze_broker,
    "kill -9 mosquitto": kill_mosquitto,
    "kill -9 gateway-detect": kill_detector,
}
