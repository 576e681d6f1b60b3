"""Devices: their usual interval is learned, and who falls silent is named; nobody is blamed for what others did."""

import random

import pytest
from heard import Hall, batch_of
from structlog.testing import capture_logs

from devices.reading import Quality, Reading
from gateway import presence, roll
from gateway.rhythm import ENOUGH, FLOOR, Rhythm
from gateway.sources import SourceSpec
from gateway.spool import Batch
from gateway.testing import ScriptedSource, connects

BOILER = ("plant", "boiler-7")
PUMP = ("plant", "pump")


def every_half_minute(*, stand_in: bool = False) -> Hall:
    """A hall that heard two devices every 30 s, twenty times."""
    hall = Hall(stand_in=stand_in)
    hall.wait(600, BOILER, PUMP, every=30)
    return hall


def test_the_usual_interval_is_learned_and_a_silent_device_is_named_with_it() -> None:
    hall = every_half_minute()
    assert hall.presence.rolls["plant"].row("boiler-7", hall.now)["usual_interval_s"] == 30
    with capture_logs() as logs:
        hall.wait(150, PUMP, every=30)
        assert (hall.state(), hall.reasons()) == ("regular", [])  # five intervals are not too many
        hall.wait(690, PUMP, every=30)

    assert hall.state() == "silent"
    [reason] = hall.reasons()
    assert reason.startswith("device boiler-7 (source plant) silent for 14 min, usually every 30 s: ")
    [entry] = logs
    assert (entry["event"], entry["device"], entry["usual_s"]) == ("device silent", "boiler-7", 30)


def test_a_device_that_comes_back_is_noticed_at_once() -> None:
    hall = every_half_minute()
    hall.wait(600, PUMP, every=30)
    with capture_logs() as logs:
        hall.hear(BOILER)

        assert (hall.state(), hall.reasons()) == ("regular", [])
    assert [(entry["event"], entry["silent_s"]) for entry in logs] == [("device back", 600)]


@pytest.mark.parametrize("quality", [Quality.RETAINED, Quality.REDELIVERED, Quality.SIMULATED])
def test_what_is_not_live_is_no_sign_of_life(quality: Quality) -> None:
    hall = every_half_minute(stand_in=True)
    for _ in range(20):
        hall.wait(30, PUMP, every=30)
        hall.hear(BOILER, ("plant", "never-live"), quality=quality)

    assert hall.state() == "silent"
    assert "never-live" not in hall.presence.rolls["plant"].devices


def test_the_devices_of_a_simulator_that_is_the_source_itself_live() -> None:
    hall = Hall()
    hall.hear(BOILER, quality=Quality.SIMULATED)

    assert hall.state() == "learning"


def test_a_mark_that_says_nothing_about_life_does_not_hide_it() -> None:
    hall = Hall()
    hall.hear(BOILER, quality=Quality.CLOCK_UNSET)

    assert hall.state() == "learning"


def test_no_device_is_blamed_while_its_source_is_away_nor_for_that_time_afterwards() -> None:
    hall = every_half_minute()
    hall.leave(hall.feeds[0])
    with capture_logs() as logs:
        hall.wait(3600)
        assert (hall.state(), hall.reasons()) == ("away", [])
        hall.come(hall.feeds[0])
        hall.wait(149)
        assert hall.state() == "regular"
        hall.hear(BOILER)
    assert logs == []
    assert hall.presence.rolls["plant"].devices["boiler-7"].limit() == 150  # the hour was no interval
    hall.wait(200, PUMP, every=30)
    assert hall.state() == "silent"


def test_no_device_is_blamed_while_the_daemon_was_stalled() -> None:
    hall = every_half_minute()
    hall.now += 3600
    hall.hear(PUMP)
    hall.tick()

    assert hall.reasons() == []
    assert hall.presence.rolls["plant"].devices["pump"].limit() == 150


def test_no_device_is_blamed_while_sources_are_made_to_wait_for_room() -> None:
    hall = every_half_minute()
    hall.waiting = ["plant"]
    hall.wait(3600)

    assert hall.reasons() == []


def test_one_failure_teaches_little_and_a_new_rhythm_is_learned_yet() -> None:
    hall = every_half_minute()
    hall.wait(7200, PUMP, every=30)
    hall.hear(BOILER)
    hall.wait(600, BOILER, PUMP, every=30)
    assert hall.presence.rolls["plant"].devices["boiler-7"].limit() <= 450

    hall.wait(24_000, BOILER, PUMP, every=600)
    assert (hall.state(), hall.reasons()) == ("regular", [])
    assert hall.presence.rolls["plant"].row("boiler-7", hall.now)["usual_interval_s"] == 600


def test_a_door_contact_is_not_called_silent_at_night() -> None:
    hall = Hall()
    chance = random.Random(1)
    for _ in range(60):
        hall.wait(int(chance.expovariate(1 / 200)) + 1)
        hall.hear(BOILER)
    assert hall.state() == "irregular"
    hall.wait(8 * 3600)

    assert (hall.state(), hall.reasons()) == ("irregular", [])


def test_an_irregular_device_that_is_known_for_a_day_is_judged_by_the_longest_of_its_intervals() -> None:
    rhythm = Rhythm(0.0)
    for interval in [5.0, 900.0] * 20:
        rhythm.counted += interval
        rhythm.learn(interval)
    assert rhythm.habit() == "irregular"
    assert rhythm.counted + rhythm.limit() == 86_400

    rhythm.counted = 90_000.0
    rhythm.learn(5.0)
    assert rhythm.limit() == 2700


def test_a_device_is_not_judged_before_enough_is_known_of_it() -> None:
    hall = Hall()
    hall.hear(BOILER)
    for _ in range(ENOUGH - 1):
        hall.wait(30, BOILER, every=30)
    hall.wait(3600)
    assert (hall.state(), hall.reasons()) == ("learning", [])


def test_a_device_that_now_and_then_takes_longer_may_be_quiet_for_three_times_the_longest() -> None:
    rhythm = Rhythm(0.0)
    for interval in (30.0,) * 20 + (70.0, 80.0):
        rhythm.learn(interval)

    assert (rhythm.habit(), rhythm.usual(), rhythm.limit()) == ("regular", 30.0, 240.0)


def test_a_quick_device_may_be_quiet_for_some_seconds() -> None:
    hall = Hall()
    hall.wait(60, BOILER, every=1)
    hall.wait(FLOOR)
    assert hall.state() == "regular"
    hall.wait(2)
    assert hall.state() == "silent"


def test_sensors_that_report_one_after_the_other_are_one_sign_of_life() -> None:
    hall = Hall()
    for _ in range(20):
        hall.wait(30)
        hall.hear(BOILER)
        hall.now += 0.1
        hall.hear(BOILER)

    assert hall.state() == "regular"
    row = hall.presence.rolls["plant"].row("boiler-7", hall.now)
    assert (row["last_heard_age_s"], round(row["usual_interval_s"])) == (0, 30)


def test_a_source_whose_devices_all_fall_silent_is_named_once() -> None:
    hall = Hall("plant", "yard")
    many = [("plant", f"d{number}") for number in range(50)]
    hall.wait(600, *many, ("yard", "gate"), every=30)
    with capture_logs() as logs:
        hall.wait(600, ("yard", "gate"), every=30)

    [reason] = hall.reasons()
    assert reason.startswith("all 50 devices of source plant are silent, the last one for 10 min")
    assert [(entry["event"], entry["count"]) for entry in logs] == [("all devices silent", 50)]
    assert hall.reasons(but=["plant"]) == []


def test_not_all_are_silent_while_one_has_its_time_yet() -> None:
    hall = Hall()
    hall.wait(20 * 600, ("plant", "slow"), every=600)
    hall.wait(600, BOILER, PUMP, every=30)
    hall.wait(200)

    assert [hall.state(device) for device in ("boiler-7", "pump", "slow")] == ["silent", "silent", "regular"]
    assert len(hall.reasons()) == 2


def test_the_status_names_the_first_few_and_says_how_many_more() -> None:
    hall = Hall()
    hall.wait(600, *[("plant", f"d{number}") for number in range(5)], PUMP, every=30)
    hall.wait(600, PUMP, every=30)

    assert [reason.split(" silent")[0] for reason in hall.reasons()] == [
        "device d0 (source plant)",
        "device d1 (source plant)",
        "device d2 (source plant)",
        "and 2 more devices are",
    ]


def test_a_device_that_the_configuration_names_and_nobody_heard_is_named_after_a_while() -> None:
    hall = Hall(devices=["boiler-7", "pump", "press-*"])
    with capture_logs() as logs:
        hall.wait(presence.GRACE, PUMP, every=30)
        assert (hall.state(), hall.reasons()) == ("awaited", [])
        hall.wait(5, PUMP, every=5)
    [reason] = hall.reasons()
    assert reason.startswith("device boiler-7 (source plant) not heard since the start: ")
    assert hall.state() == "missing"
    assert [entry["event"] for entry in logs] == ["device not heard since the start"]

    hall.hear(BOILER)
    assert hall.reasons() == []


def test_a_device_that_was_taken_away_is_forgotten_on_request_and_by_itself_after_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roll, "FORGET_AFTER", 1000.0)
    hall = every_half_minute()
    hall.wait(600, ("plant", "other"), every=30)
    assert len(hall.presence.rolls["plant"].silent) == 2
    assert hall.presence.forget("boiler-7", "yard") == []
    assert hall.presence.forget("boiler-7") == ["plant"]
    assert "boiler-7" not in str(hall.reasons())
    with capture_logs() as logs:
        hall.wait(1000, ("plant", "other"), every=30)

    assert hall.reasons() == []
    assert [(entry["event"], entry["device"]) for entry in logs] == [("device forgotten", "pump")]
    assert hall.presence.rolls["plant"].forgotten == 2
    hall.hear(BOILER)
    assert hall.state() == "learning"


def test_no_more_devices_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "CAPACITY", 3)
    hall = Hall("plant", "yard")
    with capture_logs() as logs:
        for key in (BOILER, PUMP, ("yard", "gate"), BOILER, ("yard", "door")):
            hall.wait(1)
            hall.hear(key)

    assert list(hall.presence.rolls["plant"].devices) == ["boiler-7"]
    assert list(hall.presence.rolls["yard"].devices) == ["gate", "door"]
    assert [(entry["event"], entry["device"]) for entry in logs] == [("device forgotten", "pump")]


def test_pages_hold_every_device_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PAGE", 4)
    hall = Hall("plant", "yard", devices=["z"])
    hall.hear(*[("plant", f"d{number}") for number in range(9)], ("yard", "d1"))
    found, after, more = [], ("", ""), True
    while more:
        rows, more = hall.presence.page(after, hall.now)
        assert len(rows) <= 4
        found += [(row["source"], row["device"]) for row in rows]
        after = found[-1]

    assert found == [*[("plant", f"d{n}") for n in range(9)], ("plant", "z"), ("yard", "d1"), ("yard", "z")]


def test_a_device_is_known_by_its_source_too() -> None:
    hall = Hall("plant", "yard")
    hall.hear(BOILER, ("yard", "boiler-7"))

    assert [list(each.devices) for each in hall.presence.rolls.values()] == [["boiler-7"], ["boiler-7"]]


def test_a_reading_that_names_no_source_of_ours_is_no_reason_to_stumble() -> None:
    hall = Hall()
    batch = batch_of(BOILER)
    batch.readings.append(Reading("pump", "t", 1.0, 1, "nobody", 1))
    batch.counts["other"] += 1
    hall.presence.heard(batch, hall.now)
    hall.presence.heard(Batch(), hall.now)

    assert list(hall.presence.rolls["plant"].devices) == ["boiler-7"]


def test_sources_come_and_go_and_what_is_known_of_the_devices_of_those_that_stay_stays() -> None:
    hall = every_half_minute()
    plant, attic = (SourceSpec(ScriptedSource(connects, name=name)) for name in ("plant", "attic"))

    hall.presence.follow([attic, plant._replace(devices=["boiler-*", "boiler-9"])], {"attic", "plant"})

    assert list(hall.presence.rolls) == ["attic", "plant"]
    found = hall.presence.rolls["plant"]
    assert found.row("boiler-7", hall.now)["usual_interval_s"] == 30
    assert list(found.devices) == ["boiler-7"]  # the pump is not let in any more
    assert found.missing == {"boiler-9"}
    hall.presence.follow([attic], ())
    assert list(hall.presence.rolls) == ["attic"]
