"""What detection finds of faults put into recorded data, and what it says of the data as they are. Seeded.

    .venv/bin/python tests/faults/found_recorded.py FOLDER [--labels LABELS.json] [--each 4]

FOLDER has CSV files (`timestamp,value`) in it or below; LABELS say where something was wrong anyway, as for a backtest: no
fault is put there, and what is said there is not counted. Every fault is put into a copy of its own of the recording, after
its first day and 15 % of it: `spike` moves one reading by 10 deviations of the recording, up or down, `limit` goes
beyond a limit above all there is for five readings, `frozen` holds the value and `silent` says nothing for STAYS readings.
A constant has no deviation, and a recording that holds one value for so long by itself (a rest of one month, say) is the
same with the fault as without: they are left out of `spike` and of `frozen`.
"""

import argparse
import random
import statistics
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from gateway.detect.backtest.labels import Window, load_labels
from gateway.detect.backtest.table import Table
from gateway.detect.bank import Arrival, Bank
from gateway.detect.config import DetectConfig, Limits, Rules
from gateway.wire import VERSION, Anomaly, Reading

SECOND: Final = 1_000_000_000
DAY: Final = 86_400 * SECOND
POLL: Final = 6
STAYS: Final = 72
"""Readings for which a sensor is stuck or silent: six hours of a reading every five minutes."""

RULES: Final = {
    "spike": ("spike", "never-seen"),
    "limit": ("limits",),
    "frozen": ("stuck",),
    "silent": ("silence",),
}
"""The rules that count as having found a fault of each kind."""

LASTS: Final = {"spike": 1, "limit": 5, "frozen": STAYS, "silent": STAYS}
DRAWS: Final = 100


class Recording(NamedTuple):
    """A file, its times in nanoseconds, its values, where it is labelled, and what it is like without those places."""

    name: str
    times: list[int]
    values: list[float]
    labels: list[Window]
    deviation: float
    limit: float
    longest: int


class Sensor(NamedTuple):
    """A copy of a recording in which one thing goes wrong, or nothing (an empty `kind`), from `start` to `end`."""

    name: str
    recording: Recording
    kind: str
    start: int
    end: int
    values: list[float | None]


class Tally(NamedTuple):
    """Per kind of fault: how many there were, how many a rule of each name found, and the delays in readings."""

    faults: Counter[str]
    found: Counter[str]
    by: Counter[tuple[str, str]]
    delays: dict[str, list[float]]
    false: Counter[str]
    days: float


def recording_of(path: Path, labels: Path | None) -> Recording:
    """Read a file."""
    table = Table(path)
    readings = [one.reading for chunk in table.chunks(1, cells=False) for one in chunk.arrivals]
    marked = load_labels(labels, str(path)).windows if labels else []
    times, values = [one.time for one in readings], [float(one.value) for one in readings]
    clean = [value for at, value in zip(times, values, strict=True) if not _labelled(marked, at, at)]
    top = max(values)
    longest = run = 1
    for before, value in pairwise(values):
        run = run + 1 if value == before else 1
        longest = max(longest, run)
    limit = top + 0.1 * max(abs(top), 1.0)
    return Recording(path.stem, times, values, marked, statistics.pstdev(clean), limit, longest)


def sensors_of(recording: Recording, each: int, seed: int) -> Iterator[Sensor]:
    """The recording as it is, and `each` copies with a fault of each kind."""
    yield Sensor(recording.name, recording, "", 0, 0, list(recording.values))
    for kind, lasts in LASTS.items():
        if kind == "spike" and not recording.deviation:
            continue
        if kind == "frozen" and recording.longest >= STAYS:
            continue
        for which in range(each):
            chance = random.Random(f"{seed}/{recording.name}/{kind}/{which}")
            times, values = recording.times, list[float | None](recording.values)
            first = max(int(0.15 * len(times)), bisect_left(times, times[0] + DAY))
            places = [chance.randrange(first, len(times) - lasts - 1) for _ in range(DRAWS)]
            at = next(
                one for one in places if not _labelled(recording.labels, times[one], times[one + lasts])
            )
            way = chance.choice((-1, 1))
            for place in range(at, at + lasts):
                values[place] = {
                    "spike": recording.values[place] + way * 10 * recording.deviation,
                    "limit": recording.limit + 0.05 * abs(recording.limit),
                    "frozen": recording.values[at],
                    "silent": None,
                }[kind]
            yield Sensor(
                f"{recording.name}~{kind}{which}", recording, kind, times[at], times[at + lasts], values
            )


def play(recordings: Sequence[Recording], each: int, seed: int) -> Tally:
    """Let them all go wrong, and count what is said of it."""
    sensors = [one for recording in recordings for one in sensors_of(recording, each, seed)]
    rules = tuple(Rules(device=f"{one.name}*", limits=Limits(high=one.limit)) for one in recordings)
    bank = Bank(DetectConfig(rules=rules, max_sensors=len(sensors)))
    said: dict[str, list[Anomaly]] = {one.name: [] for one in sensors}
    offset = 0
    for first in range(0, max(len(one.values) for one in sensors), POLL):
        arrivals, last = [], {}
        for sensor in sensors:
            for place in range(first, min(first + POLL, len(sensor.values))):
                last[sensor.name] = at = sensor.recording.times[place]
                if (value := sensor.values[place]) is not None:
                    offset += 1
                    reading = Reading(
                        VERSION, sensor.name, "s", offset, "file", sensor.name, "value", at, at, value
                    )
                    arrivals.append(Arrival(offset, None, reading))
        events = [one.anomaly for one in bank.judge(arrivals)]
        events += [one.anomaly for name, at in last.items() for one in bank.advance(name, at)]
        for one in events:
            said[one.gateway].append(one)
    return compare(sensors, said)


def compare(sensors: Sequence[Sensor], said: dict[str, list[Anomaly]]) -> Tally:
    """What was said, against what was wrong: within the fault and two readings more."""
    tally = Tally(Counter(), Counter(), Counter(), {kind: [] for kind in RULES}, Counter(), 0.0)
    days = 0.0
    for sensor in sensors:
        times, labels = sensor.recording.times, sensor.recording.labels
        spoken = [one for one in said[sensor.name] if one.event in {"raised", "updated"}]
        if not sensor.kind:
            days += (times[-1] - times[0] - sum(one.end - one.start for one in labels)) / DAY
            for one in spoken:
                if one.event == "raised" and not _labelled(labels, one.time, one.time):
                    tally.false[f"{one.grade}: {one.rule}"] += 1
            continue
        tally.faults[sensor.kind] += 1
        step = statistics.median(after - before for before, after in pairwise(times))
        during = [
            one
            for one in spoken
            if one.rule in RULES[sensor.kind] and sensor.start <= one.time <= sensor.end + 2 * step
        ]
        if during:
            tally.found[sensor.kind] += 1
            tally.delays[sensor.kind].append((min(one.time for one in during) - sensor.start) / step)
        for rule in {one.rule for one in during}:
            tally.by[sensor.kind, rule] += 1
    return tally._replace(days=days)


def _labelled(labels: Sequence[Window], start: int, end: int) -> bool:
    return any(one.start <= end and start <= one.end for one in labels)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--each", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    recordings = [recording_of(path, options.labels) for path in sorted(options.folder.rglob("*.csv"))]
    tally = play(recordings, options.each, options.seed)
    print("| fault | of | found | by | median delay |\n|---|---|---|---|---|")
    for kind, count in tally.faults.items():
        by = ", ".join(f"{rule} {100 * tally.by[kind, rule] / count:.0f} %" for rule in RULES[kind])
        delays = tally.delays[kind]
        delay = f"{statistics.median(delays):.0f} readings" if delays else "-"
        print(f"| {kind} | {count} | {100 * tally.found[kind] / count:.1f} % | {by} | {delay} |")
    alarms = sum(count for name, count in tally.false.items() if name.startswith("alarm"))
    print(
        f"\nalarms outside of labels: {alarms / tally.days:.3f} per sensor-day; in {tally.days:.0f} sensor-days:"
    )
    print(dict(tally.false))


if __name__ == "__main__":
    main()
