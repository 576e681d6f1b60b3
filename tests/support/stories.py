"""A story of sensors in which much goes wrong."""

import random

from detecting import NOON, SECOND, keyed

from gateway.detect.config import DetectConfig, Limits, Rate, Rules, Silence, Spike, SpikeAggregate, Stuck
from gateway.wire import VERSION, Arrival, Reading

QUICK = Rules(
    "quick",
    limits=Limits(low=15.0, high=25.0),
    rate=Rate(0.5),
    stuck=Stuck(30.0),
    silence=Silence(100.0),
    spike=Spike(warm_up=10),
    spike_aggregate=SpikeAggregate(warm_up=12, threshold=4.0),
)
EARLY = Rules("early", limits=Limits(high=24.0, hysteresis=0.0), spike=Spike(warm_up=70, threshold=4.0))
CONFIG = DetectConfig(rules=(QUICK, EARLY))
YEAR = 365 * 86_400 * SECOND
SENSORS = ("quick", "early", "by default", "quick")


def story(seed: int, count: int, pace: float) -> list[Arrival]:
    """Sensors that drift, jump, get stuck and fall silent, in disorder, some of it twice, by clocks that are set."""
    chance = random.Random(seed)
    time = [NOON] * len(SENSORS)
    value = [20.0] * len(SENSORS)
    unset = [False] * len(SENSORS)
    ahead = [0] * len(SENSORS)  # the clock of the device before that of the gateway
    readings: list[Reading] = []
    for seq in range(1, count + 1):
        which = chance.randrange(len(SENSORS))
        step = chance.choice(
            (pace, pace, pace, pace * chance.random(), 0.0, 900.0 * (chance.random() < 0.05))
        )
        time[which] += round(step * SECOND)
        if chance.random() < 0.002:
            time[which] += round(chance.choice((-3600, 90_000)) * SECOND)
        if chance.random() < 0.003:
            time[which] += (2 * YEAR if unset[which] else -2 * YEAR) * chance.randrange(2)
            unset[which] = not unset[which]
        mood = chance.random()
        if mood < 0.7:
            value[which] = round(20 + chance.gauss(0, 0.4) + which, which % 3)
        elif mood < 0.72:
            value[which] = chance.choice((90.0, -5.0, 1e200, 1e-200, float("nan"), 24.5))
        if chance.random() < 0.003:
            ahead[which] = round(chance.choice((0, 3600, 2 * YEAR / SECOND)) * SECOND)
        at = time[which] - (round(chance.random() * 20 * SECOND) if chance.random() < 0.03 else 0)
        sensor = SENSORS[which]
        readings.append(
            Reading(
                VERSION,
                f"gw-{which // 3}",
                "s",
                seq,
                "line",
                f"d{which}",
                sensor,
                at + ahead[which],
                at,
                value[which],
                "°C",
                ("clock_unset",) if unset[which] else (),
            )
        )
        if chance.random() < 0.02:
            readings.append(chance.choice(readings[-20:]))
    return keyed(readings)
