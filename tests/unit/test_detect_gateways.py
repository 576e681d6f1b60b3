"""The silence of a whole gateway: one anomaly, that survives crashes and moves, and not one for each sensor."""

import math
from collections.abc import Callable, Mapping

import pytest
from detecting import NOON, SECOND, keyed, only, reading, series
from hypothesis import given
from hypothesis import strategies as st
from one_partition import Cluster

from gateway.detect.bank import Bank
from gateway.detect.config import Limits
from gateway.detect.gateways import LEAST, Gateways
from gateway.detect.share import Share
from gateway.detect.snapshot import StateError
from gateway.kafka.consumer import Polled
from gateway.kafka.statuses import Seen, Sight
from gateway.wire import Anomaly, Command

GATEWAY = "pi-7"
ALONE = only(silence=True)


def status(offset: int, read: float, *, stopped: bool = False, age: float = 0.0, unset: bool = False) -> Seen:
    """The status with this offset, read at this time; Kafka's clock runs as ours does."""
    at = NOON + round((read - age) * SECOND)
    return Seen((0, offset), at, read, age, at, 10.0, unset, stopped)


def sight(
    at: float,
    seen: Mapping[str, Seen],
    *,
    since: float = -math.inf,
    ends: Mapping[int, int] | None = None,
    partitions: int = 1,
) -> Sight:
    return Sight(at, since, seen, partitions, seen, ends or {})


def looked(gateways: Gateways, *sights: Sight) -> list[Anomaly]:
    return [one.anomaly for each in sights for one in gateways.look(each, 0)]


def events(said: list[Anomaly]) -> list[str]:
    return [one.event for one in said]


def test_a_gateway_is_silent_once_and_back_once() -> None:
    gateways, last = Gateways(), {GATEWAY: status(7, 100.0)}
    said = looked(gateways, *(sight(100.0 + each, last) for each in range(300)))
    assert gateways.open == 1
    said += looked(
        gateways, sight(400.0, {GATEWAY: status(8, 400.0)}), sight(405.0, {GATEWAY: status(8, 400.0)})
    )

    raised, cleared = said
    assert raised.sentence == (
        "gateway pi-7 is silent for 61 s, usually a status every 10 s; its sensors are not judged"
    )
    assert cleared.sentence == "gateway pi-7 is back after 5 min of silence"
    assert (raised.event, cleared.event, raised.id) == ("raised", "cleared", cleared.id)
    assert (raised.rule, raised.grade, raised.value, raised.score) == ("gateway-silence", "alarm", 61.0, 61.0)
    assert (raised.since, raised.time) == (NOON + 100 * SECOND, NOON + 161 * SECOND)
    assert (cleared.value, cleared.time, cleared.score) == (300.0, NOON + 400 * SECOND, 0.0)
    assert gateways.open == 0


@given(st.lists(st.integers(1, 59), min_size=1, max_size=40))
def test_a_gateway_that_reports_is_never_silent(pauses: list[int]) -> None:
    gateways, now = Gateways(), 0.0
    for offset, pause in enumerate(pauses):
        seen = {GATEWAY: status(offset, now)}
        assert looked(gateways, *(sight(now + each, seen) for each in range(pause + 1))) == []
        now += pause


def test_a_gateway_that_said_goodbye_is_not_missed() -> None:
    assert looked(Gateways(), sight(10_000.0, {GATEWAY: status(7, 0.0, stopped=True)})) == []


def test_a_gateway_that_was_silent_and_then_stopped_in_order_is_not_missed_any_more() -> None:
    gateways = Gateways()
    said = looked(gateways, sight(100.0, {GATEWAY: status(7, 0.0)}))
    said += looked(gateways, *(sight(at, {GATEWAY: status(8, 150.0, stopped=True)}) for at in (150.0, 900.0)))

    assert events(said) == ["raised", "cleared"]
    assert said[1].sentence == "gateway pi-7 is back after 2 min of silence, and was stopped"


def test_a_gateway_that_died_while_nobody_looked_is_told_of_once_somebody_has_for_as_long() -> None:
    """Its age is by two clocks that may differ: it is in the sentence, and decides nothing."""
    gateways, last = Gateways(), {GATEWAY: status(7, 100.0, age=3 * 86_400.0)}
    assert looked(gateways, sight(100.0 + LEAST, last, since=100.0)) == []
    [raised] = looked(gateways, sight(101.0 + LEAST, last, since=100.0))
    assert raised.sentence.startswith("gateway pi-7 is silent for 3 days, usually")


def test_a_kafka_that_was_away_makes_no_gateway_silent() -> None:
    gateways, last = Gateways(), {GATEWAY: status(7, 100.0)}
    assert looked(gateways, sight(700.0, last, since=695.0), sight(754.0, last, since=695.0)) == []


def test_of_each_gateway_one_partition_speaks() -> None:
    names = [f"pi-{number}" for number in range(100)]
    seen = {name: status(number, 0.0) for number, name in enumerate(names)}
    said = [
        [one.anomaly.gateway for one in Gateways().look(sight(100.0, seen, partitions=6), partition)]
        for partition in range(6)
    ]
    assert sorted(name for some in said for name in some) == sorted(names)
    assert all(said)


def test_what_people_say_of_a_silence_counts_once() -> None:
    gateways, last = Gateways(), {GATEWAY: status(7, 0.0)}
    [raised] = looked(gateways, sight(100.0, last))
    gateways.changed()
    said = [
        one.anomaly
        for verb in ("ack", "ack", "fault", "accept", "accept")
        for one in gateways.command(Command(1, raised.id, verb, "ann", NOON))
    ]

    assert [(one.event, one.sentence) for one in said] == [
        ("acknowledged", "acknowledged by ann"),
        ("fault", "called a real fault by ann"),
        ("cleared", "accepted as normal by ann: gateway pi-7 is not missed until it is heard again"),
    ]
    assert {one.by for one in said} == {"ann"}
    assert len(gateways.changed()) == 1
    assert gateways.command(Command(1, "another", "ack", "ann", NOON)) == []
    assert looked(gateways, sight(1000.0, last)) == [], "it is accepted"
    assert looked(gateways, sight(1100.0, {GATEWAY: status(8, 1090.0)})) == [], "that was cleared"
    assert events(looked(gateways, sight(2000.0, {GATEWAY: status(8, 1090.0)}))) == ["raised"]


def test_what_people_say_of_others_is_not_about_a_gateway_without_a_name() -> None:
    gateways = Gateways()
    looked(gateways, sight(100.0, {"": status(7, 0.0)}))

    assert gateways.command(Command(1, "another", "accept", "ann", NOON)) == []
    assert gateways.open == 1


@pytest.mark.parametrize(
    "value", [b"", b"{}", b'{"v":2,"id":"x","place":[0,1],"since":0,"silent":1.0}', b"\xff"]
)
def test_a_row_that_is_damaged_is_refused(value: bytes) -> None:
    gateways = Gateways()
    looked(gateways, sight(100.0, {GATEWAY: status(7, 0.0)}))
    [(key, _)] = gateways.changed()
    assert Gateways.has(key)
    with pytest.raises(StateError):
        Gateways().restore(key, value)


class Plant:
    """One partition, and a gateway that speaks and falls silent. Time is long after that of the machine the test runs on."""

    def __init__(self) -> None:
        self.cluster = Cluster(keyed(series([20.0] * 40, 30.0)), lambda: Bank(ALONE))
        self.now = 1e9
        self.offset = 0
        self.last = status(0, self.now)
        self.share = self._restart()

    def _restart(self) -> Share:
        share = self.cluster.share()
        while self.cluster.poll(share, 50):
            pass
        return share

    def look(self) -> None:
        self.share.look(sight(self.now, {GATEWAY: self.last}))

    def play(self, step: str) -> None:
        match step:
            case "speak":
                self.offset += 1
                self.last = status(self.offset, self.now)
            case "wait":
                self.now += 40.0
            case "look":
                self.look()
                self.cluster.commit(self.share)
            case "look, crash":
                self.look()
                self.share = self._restart()
            case "snapshot":
                self.cluster.snapshot(self.share, 5)


@given(st.lists(st.sampled_from(["speak", "wait", "wait", "look", "look, crash", "snapshot"]), max_size=60))
def test_a_crash_at_any_point_neither_repeats_nor_forgets_it(steps: list[str]) -> None:
    plant, alive = Plant(), True
    for step in steps:
        plant.play(step)
    for step in ("look", "wait", "wait", "look", "speak", "look"):
        plant.play(step)
    said = [one for one in plant.cluster.said if one.rule == "gateway-silence"]
    for one in said:
        assert one.event == ("raised" if alive else "cleared")
        alive = not alive
    assert alive
    assert said
    assert len({one.id for one in said}) == len(said) / 2
    assert not any(Gateways.has(key) for key in plant.cluster.rows), "nothing is kept of one that is over"


def test_who_takes_over_says_nothing_by_what_it_saw_before() -> None:
    """Whoever had the partition may have seen more: that the gateway is back."""
    plant = Plant()
    plant.share.look(sight(-1.0, {GATEWAY: status(0, -100.0)}))
    assert plant.share.part() is None or not plant.share.part().said  # type: ignore[union-attr] # it is there
    plant.play("wait")
    plant.play("wait")
    plant.look()
    assert plant.share.gateways.open == 1


def silent_sensors(until: float, **what: object) -> list[str]:
    """What is said of a sensor last heard of at 1170 s, in a partition of its own, when the gateway tells every 10 s."""
    plant = Plant()
    plant.cluster.commit(plant.share)
    change: Callable[[Seen, Sight], Sight] | None = what.get("change")  # type: ignore[assignment] # of the callers here
    for tick in range(1170, round(until), 10):
        seen = status(tick, plant.now + tick)._replace(until=NOON + tick * SECOND)
        view = sight(plant.now + tick, {GATEWAY: seen, "gw-1": seen}, ends={0: 40})
        plant.share.look(change(seen, view) if change else view)
        plant.cluster.commit(plant.share)
    return [f"{one.rule} {one.event}" for one in plant.cluster.said]


def test_a_device_alone_in_its_partition_is_found_silent_by_what_its_gateway_says() -> None:
    assert silent_sensors(1400.0) == ["silence raised"]


def test_a_clock_in_doubt_finds_nobody_silent() -> None:
    def doubt(seen: Seen, view: Sight) -> Sight:
        return view._replace(before={"gw-1": seen._replace(unset=True)})

    assert silent_sensors(1400.0, change=doubt) == []


def test_nobody_is_silent_while_there_is_something_to_judge() -> None:
    assert silent_sensors(1400.0, change=lambda _, view: view._replace(ends={0: 41})) == []
    assert silent_sensors(1400.0, change=lambda _, view: view._replace(ends={})) == []


def test_the_end_of_a_partition_is_behind_the_marks_of_transactions() -> None:
    plant = Plant()
    plant.share.judge(Polled(0, [], 0, 42))
    for tick in range(1170, 1400, 10):
        told = status(tick, plant.now + tick)._replace(until=NOON + tick * SECOND)
        plant.share.look(sight(plant.now + tick, {"gw-1": told}, ends={0: 42}))
    plant.cluster.commit(plant.share)

    assert [one.rule for one in plant.cluster.said] == ["silence"]
    assert plant.cluster.committed == 40


def test_the_sensors_of_a_silent_gateway_are_silent_with_it() -> None:
    """The gateway is off for an hour: nobody says so of a sensor, neither meanwhile nor at the first reading after it."""
    plant = Plant()
    for tick in [*range(0, 1180, 10), *range(4780, 4900, 10)]:
        told = status(tick, plant.now + tick)._replace(until=NOON + tick * SECOND)
        plant.share.look(sight(plant.now + tick, {"gw-1": told}, ends={0: 40}))
    plant.share.judge(Polled(0, keyed([reading(21.0, 4890.0, seq=41)], offset=40), 41))
    plant.cluster.commit(plant.share)

    assert [one for one in plant.cluster.said if one.rule == "silence"] == []


class Stormy:
    """A partition in which twelve sensors of one gateway jumped at once, and nothing came after that."""

    def __init__(self) -> None:
        hot = [reading(99.0, float(place), seq=place + 1, device=f"d{place}") for place in range(12)]
        self.cluster = Cluster(keyed(hot), lambda: Bank(only(limits=Limits(high=80.0))))
        self.share = self.restart()

    def restart(self) -> Share:
        self.share = self.cluster.share()
        while self.cluster.poll(self.share, 50):
            self.cluster.commit(self.share)
        return self.share

    def look(self, at: float, last: Seen, end: int = 12) -> list[Anomaly]:
        """What is said of the storm when nothing has come since that status."""
        last = last._replace(until=NOON)  # so that no time passes by what it says
        self.share.look(sight(1e9 + at, {"gw-1": last}, ends={0: end}, partitions=0))
        before = len(self.cluster.said)
        self.cluster.commit(self.share)
        return [one for one in self.cluster.said[before:] if one.rule == "storm"]


@pytest.mark.parametrize("stopped", [False, True])
def test_the_storm_of_a_gateway_that_is_not_heard_any_more_is_over_once(*, stopped: bool) -> None:
    """In every partition, also in one that does not speak of the gateway's silence."""
    plant, last = Stormy(), status(1, 1e9, stopped=stopped)
    [raised] = [one for one in plant.cluster.said if one.rule == "storm"]

    assert plant.look(LEAST, last) == []
    assert plant.look(LEAST + 1, last, end=13) == [], "there is something to judge"
    [cleared] = plant.look(LEAST + 2, last)
    assert (cleared.event, cleared.id) == ("cleared", raised.id)
    assert cleared.sentence == (
        "12 sensors of gateway gw-1 raised 12 anomalies within 11 s; nothing was heard of the gateway since"
    )
    assert plant.look(LEAST + 3, last) == []
    plant.restart()
    assert plant.look(LEAST + 4, last) == []


def test_what_a_silent_gateway_is_still_heard_to_raise_is_a_storm_until_it_falls_silent_again() -> None:
    plant, last = Stormy(), status(1, 1e9)
    assert events(plant.look(100.0, last)) == ["cleared"]
    again = [reading(99.0, 500.0 + place, seq=place + 50, device=f"e{place}") for place in range(12)]
    plant.cluster.readings = [*plant.cluster.readings, *keyed(again, offset=12)]
    plant.cluster.poll(plant.share, 50)
    assert events(plant.look(110.0, last, end=24)) == ["raised"]
    assert plant.look(120.0, status(2, 1e9 + 115.0), end=24) == []
    assert events(plant.look(250.0, status(2, 1e9 + 115.0), end=24)) == ["cleared"]
