"""What the laboratory of detection does to the processes and their Kafka: each strikes, yields while it lasts, and mends."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final

from detect_plant import Plant
from processes import TRANSACTION
from proxy import Proxy

SESSION: Final = 6.0
"""Seconds after which Kafka takes a silent process for dead."""

NEXT_TRANSACTION: Final = 30.0

Fault = Callable[[Plant, random.Random], AbstractContextManager[float]]
"""Yields the seconds that it is to last."""


@contextmanager
def kill(plant: Plant, chance: random.Random) -> Iterator[float]:
    """kill -9 of one process, which is started again soon, as systemd does."""
    member = chance.choice(plant.members)
    member.kill()
    yield chance.uniform(0.1, 3.0)
    member.start()


@contextmanager
def kill_all(plant: Plant, chance: random.Random) -> Iterator[float]:
    """kill -9 of all processes at once."""
    for member in plant.members:
        member.kill()
    yield chance.uniform(0.0, 1.0)
    for member in plant.members:
        member.start()


@contextmanager
def kill_for_good(plant: Plant, chance: random.Random) -> Iterator[float]:
    """kill -9 of one process that stays away until the others have taken over."""
    member = chance.choice(plant.members)
    member.kill()
    plant.note = f"taken over after {plant.caught_up('what a dead process had'):.1f} s"
    yield 0.0
    member.start()


@contextmanager
def stop(plant: Plant, chance: random.Random) -> Iterator[float]:
    """SIGTERM of one process: others take over, and give back when it returns."""
    member = chance.choice(plant.members)
    member.stop()
    plant.note = f"taken over after {plant.caught_up('what a stopped process had'):.1f} s"
    yield chance.uniform(0.0, 0.5)
    member.start()


@contextmanager
def freeze(plant: Plant, chance: random.Random) -> Iterator[float]:
    """SIGSTOP of one process for less than its session."""
    member = chance.choice(plant.members)
    member.freeze()
    yield chance.uniform(0.5, SESSION - 2)
    member.thaw()


@contextmanager
def zombie(plant: Plant, chance: random.Random) -> Iterator[float]:
    """SIGSTOP of one process until others have its partitions; then it goes on."""
    member = chance.choice(plant.members)
    member.freeze()
    plant.note = f"taken over after {plant.caught_up('what a frozen process had'):.1f} s"
    yield chance.uniform(0.0, 0.5)
    member.thaw()


@contextmanager
def kill_in_transaction(plant: Plant, chance: random.Random) -> Iterator[float]:
    """kill -9 of all processes at a chosen request of a transaction: it comes after their death, or is not answered."""
    step = chance.choice(list(TRANSACTION))
    late = chance.choice([True, False])
    plant.note = f"{step} {'comes after the death' if late else 'is not answered'}"
    caught = threading.Event()

    def spring(proxy: Proxy) -> None:
        proxy.silence(requests=late)
        caught.set()

    cluster = plant.cluster
    for proxy, watch in zip(cluster.proxies, cluster.watches, strict=True):
        watch.on(TRANSACTION[step], partial(spring, proxy))
    try:
        assert caught.wait(NEXT_TRANSACTION), f"no {step} came"
        for member in plant.members:
            member.kill()
    finally:
        for proxy, watch in zip(cluster.proxies, cluster.watches, strict=True):
            watch.off()
            proxy.resume()
    for member in plant.members:
        member.start()
    yield 0.0


@contextmanager
def kill_broker(plant: Plant, chance: random.Random) -> Iterator[float]:
    """kill -9 of one Kafka broker."""
    broker = chance.choice(plant.cluster.brokers)
    broker.kill()
    yield chance.uniform(0.0, 1.0)
    broker.start()


@contextmanager
def silence(plant: Plant, chance: random.Random) -> Iterator[float]:
    """Nothing passes between the processes and one broker for a while."""
    proxy = chance.choice(plant.cluster.proxies)
    proxy.silence()
    yield chance.uniform(0.5, 4.0)
    proxy.resume()


FAULTS: Final[dict[str, Fault]] = {
    "kill -9": kill,
    "kill -9 all": kill_all,
    "kill -9 for good": kill_for_good,
    "SIGTERM": stop,
    "SIGSTOP": freeze,
    "SIGSTOP past the session": zombie,
    "kill -9 all in mid-transaction": kill_in_transaction,
    "kill -9 a broker": kill_broker,
    "cut to a broker": silence,
}
