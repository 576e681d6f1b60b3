"""Faults of what connects the parts."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from plant import Fault, Plant
from proxy import Proxy

SHORTEST: Final = 1.0
LONGEST: Final = 20.0
"""Seconds of a cut: some are longer than Kafka waits for a transaction (12 s)."""


@contextmanager
def _cut(proxies: Sequence[Proxy], *, closed: bool) -> Iterator[None]:
    """Nothing passes; with `closed` connections are closed and new ones too, else packets just vanish."""
    for proxy in proxies:
        proxy.refusing = closed
        if closed:
            proxy.cut()
        else:
            proxy.silence()
    try:
        yield
    finally:
        for proxy in proxies:
            proxy.refusing = False
            proxy.resume()


@contextmanager
def cut_kafka(plant: Plant, chance: random.Random) -> Iterator[None]:
    """The network between gateway and Kafka is cut."""
    # Short cuts are the more frequent ones, here as in the field.
    seconds = SHORTEST * (LONGEST / SHORTEST) ** chance.random()
    closed = chance.choice([True, False])
    plant.wounds.note = f"{seconds:.0f} s, {'connections closed' if closed else 'packets lost'}"
    with _cut(plant.cluster.proxies, closed=closed):
        time.sleep(seconds)
        yield


@contextmanager
def cut_one_broker(plant: Plant, chance: random.Random) -> Iterator[None]:
    """The network between gateway and one Kafka broker is cut."""
    seconds = SHORTEST * (LONGEST / SHORTEST) ** chance.random()
    closed = chance.choice([True, False])
    plant.wounds.note = f"{seconds:.0f} s, {'connections closed' if closed else 'packets lost'}"
    with _cut([chance.choice(plant.cluster.proxies)], closed=closed):
        time.sleep(seconds)
        yield


@contextmanager
def cut_mqtt(plant: Plant, chance: random.Random) -> Iterator[None]:
    """The network between gateway and MQTT broker is cut."""
    closed = chance.choice([True, False])
    plant.wounds.note = "connections closed" if closed else "packets lost"
    with _cut([plant.mqtt_proxy], closed=closed):
        yield


@contextmanager
def hang_up(plant: Plant, chance: random.Random) -> Iterator[None]:
    """The serial line is unplugged, and plugged in again."""
    del chance
    plant.hang_up()
    try:
        yield
    finally:
        plant.plug_in()


FAULTS: Final[dict[str, Fault]] = {
    "cut to Kafka": cut_kafka,
    "cut to one broker": cut_one_broker,
    "cut to MQTT": cut_mqtt,
    "serial hang-up": hang_up,
}
