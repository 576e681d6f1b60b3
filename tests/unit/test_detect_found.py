"""A small round of what tests/faults/found.py measures; docs/detection.md shows a large one."""

from found import RULES, play


def test_faults_are_found_by_the_right_rule_and_false_alarms_are_rare() -> None:
    tally = play(sensors=6, days=2.5, seed=7)

    assert set(tally.faults) == set(RULES)
    for kind in ("limit", "frozen", "silent", "jump", "spike"):
        assert len(tally.delays[kind]) >= 5, kind
    alarms = {name: count for name, count in tally.false.items() if name.startswith("alarm")}
    assert sum(alarms.values()) <= 0.1 * tally.sensor_days, alarms
