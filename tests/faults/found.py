"""What detection finds of faults that were put in on purpose, how soon, and how often it is wrong. Seeded.

    .venv/bin/python tests/faults/found.py [--days 3] [--sensors 60]

Prints the table that docs/detection.md shows. The sensors have daily cycles, slow weather and noise, every 10 s; the first
day shows what is usual, and then each has one fault of each kind, some hours apart. `frozen` holds one value, `silent`
says nothing, `spike` is 10 sigma for one reading, `limit` is beyond a limit that was set, `jump` leaves the range for ten
minutes, `shift` moves the mean by six sigma for an hour.
"""

import argparse
import math
import random
import statistics
from collections import Counter
from typing import Final, NamedTuple

from gateway.detect.bank import Arrival, Bank
from gateway.detect.config import DetectConfig, Limits, Rules
from gateway.wire import VERSION, Anomaly, Reading

SECOND: Final = 1_000_000_000
NOON: Final = 1_767_355_200 * SECOND
EVERY: Final = 10
POLL: Final = 6
"""Readings of each sensor that are judged together, and then its gateway is known to be alive."""
DAY: Final = 86_400
LIMIT: Final = 60.0

RULES: Final = {
    "spike": ("spike",),
    "limit": ("limits",),
    "frozen": ("stuck",),
    "silent": ("silence",),
    "jump": ("never-seen",),
    "shift": ("spike-aggregate",),
}
"""The rules that count as having found a fault of each kind."""

LASTS: Final = {"spike": EVERY, "limit": 600, "frozen": 3600, "silent": 1800, "jump": 600, "shift": 3600}


class Fault(NamedTuple):
    """One thing that goes wrong with one sensor, in seconds since the beginning."""

    kind: str
    start: int
    end: int


class Tally(NamedTuple):
    """Per kind of fault: how many there were, and after how many seconds each that was found was; and what was wrong."""

    faults: Counter[str]
    delays: dict[str, list[float]]
    false: Counter[str]
    sensor_days: float


def faults_of(chance: random.Random, days: float) -> list[Fault]:
    """One of each kind, in any order, in slots of equal length after the first day."""
    kinds = list(RULES)
    chance.shuffle(kinds)
    slot = int((days - 1.1) * DAY / len(kinds))
    faults = []
    for place, kind in enumerate(kinds):
        start = int(1.1 * DAY) + place * slot + chance.randrange(max(1, slot - 2 * LASTS[kind]))
        start -= start % EVERY
        faults.append(Fault(kind, start, start + LASTS[kind]))
    return faults


def values_of(chance: random.Random, faults: list[Fault], days: float) -> list[float | None]:
    """What a sensor shows, every EVERY seconds; None: nothing."""
    sigma, weather, held = 0.2, 0.0, 0.0
    values: list[float | None] = []
    for second in range(0, int(days * DAY), EVERY):
        weather += chance.gauss(0, 0.01) - 0.001 * weather
        value = 20 + 5 * math.sin(math.tau * second / DAY) + weather + chance.gauss(0, sigma)
        fault = next((one for one in faults if one.start <= second < one.end), None)
        kind = fault.kind if fault else ""
        value += {"spike": 10 * sigma, "limit": 45.0, "jump": -25.0, "shift": 6 * sigma}.get(kind, 0.0)
        if kind == "frozen":
            value = held
        held = value
        values.append(None if kind == "silent" else round(value, 2))
    return values


def play(sensors: int, days: float, seed: int = 1) -> Tally:
    """Let sensors go wrong, and count what is said of it."""
    chance = random.Random(seed)
    faults = [faults_of(chance, days) for _ in range(sensors)]
    signals = [values_of(random.Random(f"{seed}/{which}"), faults[which], days) for which in range(sensors)]
    bank = Bank(DetectConfig(rules=(Rules(limits=Limits(high=LIMIT)),)))
    said: list[Anomaly] = []
    offset = 0
    for first in range(0, len(signals[0]), POLL):
        arrivals = []
        for tick in range(first, min(first + POLL, len(signals[0]))):
            at = NOON + tick * EVERY * SECOND
            for which, signal in enumerate(signals):
                if (value := signal[tick]) is not None:
                    offset += 1
                    reading = Reading(
                        VERSION, "gw", "s", offset, "line", f"d{which}", "t", at, at, value, "°C"
                    )
                    arrivals.append(Arrival(offset, None, reading))
        said += [one.anomaly for one in bank.judge(arrivals)]
        said += [one.anomaly for one in bank.advance("gw", at)]
    return compare(faults, [one for one in said if one.event == "raised"], sensors * days)


def compare(faults: list[list[Fault]], raised: list[Anomaly], sensor_days: float) -> Tally:
    """What was said, against what was wrong; anything said within a fault or a minute after it is about it."""
    tally = Tally(Counter(), {kind: [] for kind in RULES}, Counter(), sensor_days)
    for which, ones in enumerate(faults):
        mine = [(one, (one.time - NOON) / SECOND) for one in raised if one.device == f"d{which}"]
        for fault in ones:
            tally.faults[fault.kind] += 1
            during = [
                at
                for one, at in mine
                if one.rule in RULES[fault.kind] and fault.start <= at <= fault.end + 60
            ]
            if during:
                tally.delays[fault.kind].append(min(during) - fault.start)
        for one, at in mine:
            if not any(fault.start <= at <= fault.end + 60 for fault in ones):
                tally.false[f"{one.grade}: {one.rule}"] += 1
    return tally


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=float, default=3.0)
    parser.add_argument("--sensors", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tally = play(options.sensors, options.days, options.seed)
    print("| fault | of | found | median delay |\n|---|---|---|---|")
    for kind, count in tally.faults.items():
        delays = tally.delays[kind]
        delay = f"{statistics.median(delays):.0f} s" if delays else "-"
        print(f"| {kind} | {count} | {100 * len(delays) / count:.1f} % | {delay} |")
    alarms = sum(count for name, count in tally.false.items() if name.startswith("alarm"))
    print(
        f"\nfalse alarms: {alarms / tally.sensor_days:.3f} per sensor-day; all of {tally.sensor_days:g} sensor-days:"
    )
    print(dict(tally.false))


if __name__ == "__main__":
    main()
