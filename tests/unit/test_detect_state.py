"""State goes to bytes and back as if nothing had happened."""

import random

import msgspec
import numpy as np
import pytest
from detecting import keyed, noise, only, reading, series
from hypothesis import given, settings
from hypothesis import strategies as st
from stories import CONFIG, story

from gateway.detect.bank import Arrival, Bank, StateError
from gateway.detect.config import DetectConfig, Limits, Rate, Rules, Spike
from gateway.detect.snapshot import decode, encode, fingerprint, row_of
from gateway.detect.state import Columns, Table
from gateway.wire import Command

HOT = DetectConfig(rules=(Rules(limits=Limits(high=80.0)),))


def saved(bank: Bank) -> dict[bytes, bytes]:
    """All dirty rows, taken in pieces."""
    records: dict[bytes, bytes] = dict(bank.changed())
    while piece := bank.snapshot(2):
        assert len(piece) <= 2
        records.update(piece)
    return records


def restored(records: dict[bytes, bytes], config: DetectConfig = CONFIG) -> Bank:
    bank = Bank(config)
    for key, value in records.items():
        bank.restore(key, value)
    return bank


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.5, 30.0]), st.integers(0, 500))
def test_a_restored_bank_goes_on_as_if_nothing_had_happened(seed: int, pace: float, place: int) -> None:
    arrivals = story(seed, 500, pace)
    bank = Bank(CONFIG)
    bank.judge(arrivals[:place])

    other = restored(saved(bank))

    assert (other.sensors, other.open) == (bank.sensors, bank.open)
    assert other.judge(arrivals[place:]) == bank.judge(arrivals[place:])
    assert saved(other) == saved(bank)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_rows_of_different_age_meet_in_a_replay(seed: int, marker: int, more: int, rest: int) -> None:
    """A sweep takes time: its later rows know more than its marker says. What is said after them is the same."""
    arrivals = story(seed, 600, 1.0)
    bank = Bank(CONFIG)
    bank.judge(arrivals[:marker])
    early = dict(bank.snapshot(2))
    bank.judge(arrivals[marker : marker + more])
    late = dict(bank.snapshot(100))
    committed = marker + more + rest
    bank.judge(arrivals[marker + more : committed])

    other = restored(early | late)
    again = other.judge(arrivals[marker:])

    assert [one for one in again if one.offset >= committed] == bank.judge(arrivals[committed:])


def test_a_storm_goes_on_where_it_was_and_a_replay_does_not_count_it_twice() -> None:
    readings = [reading(99.0, float(place), seq=place + 1, device=f"d{place}") for place in range(25)]
    arrivals = keyed(readings)
    bank = Bank(HOT)
    bank.judge(arrivals[:5])
    early = dict(bank.snapshot(100))
    bank.judge(arrivals[5:12])
    gateway = [one for one in bank.snapshot(100) if one[0] in early][-1:]

    other = restored(early | dict(gateway), HOT)
    again = other.judge(arrivals)

    expected = bank.judge(arrivals[12:])
    assert "storm" in {one.anomaly.rule for one in expected}
    assert [one for one in again if one.offset >= 12] == expected


def test_a_replay_counts_no_sensor_of_a_gateway_twice() -> None:
    """Two sensors are too few for their silence to be that of their gateway; the record of that was written, their rows not."""
    ticks = [30.0 * place for place in range(40)] + [5000.0]
    readings = [
        reading(20.0, tick, seq=2 * place + which, device=f"d{which}")
        for place, tick in enumerate(ticks)
        for which in (0, 1)
    ]
    bank = Bank(only(silence=True))
    bank.judge(keyed(readings[:-2]))

    other = restored(dict(bank.snapshot(1)), only(silence=True))
    other.judge(keyed(readings[:-2]))

    expected = bank.judge(keyed(readings[-2:], offset=80))
    assert [one.anomaly.event for one in expected if one.anomaly.event != "updated"] == [
        "raised",
        "cleared",
    ] * 2
    assert other.judge(keyed(readings[-2:], offset=80)) == expected


def test_a_row_that_was_to_be_written_and_is_forgotten_is_only_deleted() -> None:
    bank = Bank(DetectConfig(rules=HOT.rules, max_sensors=1))
    ((_, _, raised),) = bank.judge(keyed([reading(99.0)]))
    bank.command(Command(1, raised.id, "ack", "anna", 0))
    bank.judge(keyed([reading(20.0, 1.0, device="boiler-8")], offset=1))

    assert [value for key, value in bank.changed() if b"sensor" in key] == [b""]


def test_a_storm_of_many_sensors_with_long_names_fits_into_a_record() -> None:
    bank, count = Bank(HOT), 2000
    bank.judge(keyed([reading(99.0, place / 100, device=f"{place:0200}") for place in range(count)]))

    [gateway] = [value for key, value in saved(bank).items() if b"gateway" in key]
    assert 12 * count < len(gateway) < 20 * count, "a megabyte is 50,000 of them"


def test_nothing_is_dirty_after_a_sweep_and_a_reading_makes_its_row_so() -> None:
    bank = Bank(HOT)
    bank.judge(keyed([reading(20.0), reading(20.0, device="boiler-8")]))
    assert len(saved(bank)) == 3, "two sensors and their gateway"
    assert bank.snapshot(10) == []

    bank.judge(keyed([reading(21.0, 1.0, seq=2)], offset=2))

    assert len(bank.snapshot(10)) == 2


def test_a_forgotten_sensor_is_to_be_deleted_from_the_topic() -> None:
    bank = Bank(DetectConfig(rules=HOT.rules, max_sensors=1))
    bank.judge(keyed([reading(99.0)]))
    records = saved(bank)

    bank.judge(keyed([reading(20.0, 1.0, device="boiler-8")], offset=1))

    (key, value), *_ = bank.changed()
    assert value == b""
    assert key in records
    bank.restore(key, value)
    assert bank.sensors == 1


def test_readings_that_a_restored_row_reflects_are_skipped_and_counted() -> None:
    arrivals = keyed(series([99.0, 20.0, 99.0]))
    bank = Bank(HOT)
    bank.judge(arrivals)

    other = restored(saved(bank), HOT)

    assert other.judge(arrivals) == []
    assert (other.counts.replayed, other.counts.judged) == (3, 0)


def test_an_open_anomaly_is_cleared_under_its_id_after_a_restore() -> None:
    bank = Bank(HOT)
    ((_, _, raised),) = bank.judge(keyed([reading(99.0)]))

    ((_, _, cleared),) = restored(saved(bank), HOT).judge(keyed([reading(20.0, 5.0, seq=2)], offset=1))

    assert (cleared.event, cleared.id, cleared.since) == ("cleared", raised.id, raised.since)
    assert cleared.sentence == "back at 20 °C below 79.2 °C after 5.0 s; highest 99 °C"


@pytest.mark.parametrize(("threshold", "events"), [(7.0, ["raised"]), (100.0, [])])
def test_a_threshold_that_was_changed_holds_for_sensors_that_are_known(
    threshold: float, events: list[str]
) -> None:
    bank = Bank(only(spike=Spike(threshold=50.0)))
    bank.judge(keyed(series(noise(200))))

    other = restored(saved(bank), only(spike=Spike(threshold=threshold)))

    said = other.judge(keyed([reading(26.0, 200.0, seq=201)], offset=200))
    assert [one.anomaly.event for one in said] == events


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (only(never_seen=False), only(never_seen=True)),
        (only(rate=False), only(rate=True)),
        (only(rate=Rate(1e9)), only(rate=True)),
        (only(stuck=False), only(stuck=True)),
    ],
)
def test_a_rule_that_is_turned_on_knows_what_was_usual_before(
    before: DetectConfig, after: DetectConfig
) -> None:
    values = [round(value, 2) for value in noise(1500)]
    values[1200:1204] = [21.0, 21.01, 21.02, 21.0]  # whoever begins to learn here is surprised soon
    readings = keyed(series([*values, 60.0, *[21.0] * 30], 100.0))
    bank, always = Bank(before), Bank(after)
    bank.judge(readings[:1200])
    other = restored(saved(bank), after)
    always.judge(readings[:1500])

    assert other.judge(readings[1200:1500]) == []
    assert other.judge(readings[1500:]) == always.judge(readings[1500:]) != []


def test_what_stayed_within_a_limit_is_known_when_the_limit_is_gone() -> None:
    values = [round(value, 2) for value in noise(1500)]
    values[500], values[1200:1204] = 60.0, [21.0, 21.01, 21.02, 21.0]
    readings = keyed(series([*values, 60.0], 100.0))
    bank = Bank(only(rate=Rate(0.05)))
    assert bank.judge(readings[:1200])

    other = restored(saved(bank), only(rate=True))

    assert other.judge(readings[1200:1500]) == []
    assert [one.anomaly.event for one in other.judge(readings[1500:])] == ["raised"]


def test_an_open_anomaly_that_no_rule_judges_any_more_is_cleared() -> None:
    bank = Bank(HOT)
    bank.judge(keyed([reading(99.0)]))
    other = restored(saved(bank), DetectConfig())

    ((_, _, cleared),) = other.judge([])

    assert cleared.event == "cleared"
    assert cleared.sentence.endswith("this rule no longer judges the sensor, by detect.toml")
    assert other.open == 0
    assert len(other.changed()) == 2


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_are_refused_and_change_nothing(data: st.DataObject) -> None:
    bank = Bank(HOT)
    bank.judge(keyed(series(noise(5))))
    records = list(saved(bank).items())
    key, value = records[data.draw(st.integers(0, len(records) - 1))]
    kind = data.draw(st.sampled_from(["flip", "cut", "longer", "key", "any"]))
    if kind == "flip":
        place = data.draw(st.integers(0, len(value) - 1))
        value = value[:place] + bytes([value[place] ^ data.draw(st.integers(1, 255))]) + value[place + 1 :]
    elif kind == "cut":
        value = value[: data.draw(st.integers(1, len(value) - 1))]
    elif kind == "longer":
        value += data.draw(st.binary(min_size=1))
    elif kind == "key":
        key = data.draw(st.binary(max_size=20))
    else:
        value = data.draw(st.binary(min_size=1))
    other = Bank(HOT)

    with pytest.raises(StateError):
        other.restore(key, value)
    assert other.sensors == 0


def test_a_layout_of_an_older_release_is_taken_over_field_by_field() -> None:
    old = Columns({"mean": "f8", "gone": "i8", "values": ("f8", (3,))})
    new = Columns({"fresh": "f8", "mean": "f8", "values": ("f8", (4,))}, {"fresh": 7.0})
    older, newer = Table({"level": old, "dropped": old}), Table({"level": new, "added": new})
    row = older.fresh()
    row["level"]["mean"] = 21.5
    layouts = {
        fingerprint(older.dtype): [[part, [list(field) for field in old.dtype.descr]] for part in older.parts]
    }

    taken = row_of(row.tobytes(), fingerprint(older.dtype), newer.fresh(), layouts)

    assert taken["level"]["mean"] == 21.5
    assert taken["level"]["fresh"] == taken["added"]["fresh"] == 7.0
    assert np.array_equal(taken["level"]["values"], np.zeros(4)), "another shape: begins anew"


def test_a_layout_that_nobody_knows_is_refused() -> None:
    table = Table({"level": Columns({"mean": "f8"})})

    with pytest.raises(StateError, match="in a layout that this one does not know"):
        row_of(table.fresh().tobytes(), 1, table.fresh())


def test_the_layout_of_a_row_changes_on_purpose_only() -> None:
    """If this fails, put the layout that was released before into snapshot.OLDER, and its fingerprint here."""
    bank = Bank(HOT)
    bank.judge(keyed([reading(20.0)]))
    states = [decode(key, value) for key, value in saved(bank).items()]

    assert [state.layout for state in states] == LAYOUTS
    assert all(encode(decode(key, value)) == value for key, value in saved(bank).items())


LAYOUTS = [290059827, 4009669780]


def test_a_sensor_takes_so_many_bytes() -> None:
    bank = Bank(HOT)
    generator = random.Random(1)
    bank.judge(keyed(series(generator.gauss(21, 0.4) for _ in range(500))))

    assert max(len(key) + len(value) for key, value in saved(bank).items()) < 2500


def test_of_a_gateway_that_is_forgotten_nothing_is_left_in_the_topic() -> None:
    bank = Bank(DetectConfig(rules=HOT.rules, max_sensors=2))
    topic: dict[bytes, bytes] = {}
    for number in range(20):
        one = msgspec.structs.replace(reading(20.0, number), gateway=f"gw-{number % 7}")
        bank.judge([Arrival(number, f"{one.gateway}/boiler-7".encode(), one)])
        topic |= saved(bank)

    assert len([value for value in topic.values() if value]) == 4, "two sensors and their gateways"


def test_gateways_that_are_forgotten_do_not_end_a_snapshot_before_its_rows() -> None:
    bank = Bank(DetectConfig(rules=HOT.rules, max_sensors=2))
    for number in range(5):
        bank.judge(keyed([msgspec.structs.replace(reading(20.0, number), gateway=f"gw-{number}")]))

    records: dict[bytes, bytes] = {}
    while piece := bank.snapshot(1):
        records.update(piece)

    assert bank.sensors == 2
    assert restored(records, DetectConfig(rules=HOT.rules)).sensors == 2
