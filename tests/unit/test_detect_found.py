"""Small rounds of what found.py and found_recorded.py in tests/faults measure; docs/detection.md shows large ones."""

import datetime as dt
import math
import random
from pathlib import Path

from found import RULES, play
from found_recorded import play as play_recorded
from found_recorded import recording_of


def test_faults_are_found_by_the_right_rule_and_false_alarms_are_rare() -> None:
    tally = play(sensors=6, days=2.5, seed=7)

    assert set(tally.faults) == set(RULES)
    for kind in ("limit", "frozen", "silent", "jump", "spike"):
        assert len(tally.delays[kind]) >= 5, kind
    alarms = {name: count for name, count in tally.false.items() if name.startswith("alarm")}
    assert sum(alarms.values()) <= 0.1 * tally.sensor_days, alarms


def test_faults_in_recorded_data_are_found_and_what_is_labelled_is_not_counted(tmp_path: Path) -> None:
    chance = random.Random(1)
    values = [round(math.sin(place / 46) + chance.gauss(0, 0.2), 2) for place in range(2000)]
    values[1500] += 9.0  # what was wrong in the recording itself
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    times = [start + dt.timedelta(minutes=5 * place) for place in range(2000)]
    rows = [f"{time:%Y-%m-%d %H:%M:%S},{value}\n" for time, value in zip(times, values, strict=True)]
    recorded, labels = tmp_path / "recorded.csv", tmp_path / "labels.csv"
    recorded.write_text("timestamp,value\n" + "".join(rows))
    labels.write_text(f"start,end\n{times[1490]},{times[1510]}\n")

    plain, labelled = (play_recorded([recording_of(recorded, one)], 3, seed=1) for one in (None, labels))

    assert labelled.faults == dict.fromkeys(("spike", "limit", "frozen", "silent"), 3)
    assert labelled.found == labelled.faults
    assert not labelled.false
    assert plain.false["advisory: spike"] == 1
