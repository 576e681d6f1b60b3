"""What people say of anomalies."""

from itertools import count

import msgspec
import pytest
from detecting import NOON, SECOND, keyed, noise, only, reading, series
from hypothesis import given
from hypothesis import strategies as st

from gateway.detect.bank import Bank
from gateway.detect.config import DetectConfig, Limits
from gateway.wire import VERSION, Anomaly, Command, decode_command, encode_command

SLOW = 100.0
TIMES = count(NOON + 10**9 * SECOND)
BEFORE = noise(1200)


def command(verb: str, anomaly: Anomaly, by: str = "anna") -> Command:
    return decode_command(encode_command(Command(VERSION, anomaly.id, verb, by, next(TIMES))))  # type: ignore[arg-type]


class Watched:
    """A bank that has judged some values of one sensor."""

    def __init__(self, config: DetectConfig, values: list[float], interval: float = SLOW) -> None:
        self.bank = Bank(config)
        self.interval = interval
        self.values: list[float] = []
        self.said = self.sees(*values)

    def sees(self, *values: float) -> list[Anomaly]:
        place = len(self.values)
        self.values += values
        arrivals = keyed(series(self.values, self.interval)[place:], offset=place)
        return [one.anomaly for one in self.bank.judge(arrivals)]

    def says(self, verb: str, anomaly: Anomaly, by: str = "anna") -> list[Anomaly]:
        return [one.anomaly for one in self.bank.command(command(verb, anomaly, by))]


HOT = only(limits=Limits(high=80.0))
SEEN, RATE, SPIKE, STUCK = only(never_seen=True), only(rate=True), only(spike=True), only(stuck=True)


def test_an_acknowledgement_is_an_event_and_said_once() -> None:
    plant = Watched(HOT, [99.0])
    (raised,) = plant.said

    (said,) = plant.says("ack", raised)

    assert (said.event, said.id, said.sentence) == ("acknowledged", raised.id, "acknowledged by anna")
    assert (raised.by, said.by) == ("", "anna")
    assert (said.value, said.seq, said.since) == (99.0, 1, raised.since)
    assert plant.says("ack", raised) == []
    assert len(plant.bank.changed()) == 2, "so that a crash does not repeat it"


@pytest.mark.parametrize("verb", ["ack", "accept", "fault"])
def test_the_same_word_again_says_nothing_however_much_later(verb: str) -> None:
    plant = Watched(HOT, [99.0])
    (raised,) = plant.said

    assert len(plant.says(verb, raised)) == 1
    assert plant.says(verb, raised) == []


def test_an_unknown_anomaly_says_nothing() -> None:
    plant = Watched(HOT, [99.0])

    assert plant.bank.command(Command(VERSION, "none", "accept", "anna", 0)) == []


def test_of_anomalies_that_others_took_the_place_of_nothing_is_kept() -> None:
    plant = Watched(HOT, [99.0, 20.0] * 50)

    assert len(plant.said) == 100
    assert len(plant.bank._teller._ids) == 1


@pytest.mark.parametrize("by", ["", "a\nb", "x" * 1000])
def test_a_strange_name_is_not_shown(by: str) -> None:
    plant = Watched(HOT, [99.0])

    (said,) = plant.says("ack", plant.said[0], by)

    assert said.sentence in {"acknowledged by somebody", f"acknowledged by {'x' * 100}"}


def test_a_value_accepted_while_it_is_new_is_in_the_range_from_then_on() -> None:
    plant = Watched(SEEN, [*BEFORE, 25.0])

    (said,) = plant.says("accept", plant.said[0])

    assert said.event == "cleared"
    assert said.sentence.startswith("accepted as normal by anna: the range is ")
    assert said.sentence.endswith(" to 25")
    assert plant.bank.open == 0
    assert plant.sees(25.0, 21.0, 25.0) == []


@pytest.mark.parametrize(
    ("config", "odd", "calm"),
    [(SEEN, 25.0, [21.0] * 4), (RATE, 35.0, [21.0, 21.1] * 3), (SPIKE, 30.0, [21.0] * 4)],
    ids=["never-seen", "rate", "spike"],
)
@pytest.mark.parametrize("before_it_is_cleared", [True, False])
def test_a_real_fault_alarms_again(
    config: DetectConfig, odd: float, calm: list[float], *, before_it_is_cleared: bool
) -> None:
    plant = Watched(config, [*BEFORE, odd])
    unmarked = Watched(config, [*BEFORE, odd])
    (raised,) = plant.said
    if before_it_is_cleared:
        marked = plant.says("fault", raised)
        (cleared,) = plant.sees(*calm)
    else:
        (cleared,) = plant.sees(*calm)
        marked = plant.says("fault", raised)
    unmarked.sees(*calm)

    assert cleared.event == "cleared"
    assert marked[0].event == "fault"
    assert marked[0].sentence.startswith("called a real fault by anna: ")
    assert [one.event for one in plant.sees(odd)] == ["raised"]
    assert unmarked.sees(odd) == [], "without the word it would be no news"


def test_a_level_that_was_accepted_by_itself_is_taken_back_by_a_fault() -> None:
    plant = Watched(SPIKE, [*BEFORE, *noise(70, seed=2, mean=35.0)])
    raised, cleared = plant.said
    assert cleared.sentence.startswith("accepted as new level")

    plant.says("fault", raised)

    (again,) = plant.sees(35.0)
    assert again.event == "raised"
    assert again.low == pytest.approx(raised.low, abs=0.5)


def test_a_level_accepted_by_a_person_is_normal_at_once() -> None:
    plant = Watched(SPIKE, [*BEFORE, *noise(12, seed=2, mean=35.0)])

    (said,) = plant.says("accept", plant.said[0])

    assert said.sentence.startswith("accepted as normal by anna: the level is now 3")
    assert plant.sees(*noise(100, seed=3, mean=35.0)) == []


@pytest.mark.parametrize(
    ("config", "odd", "calm"),
    [(SEEN, 25.0, [21.0] * 4), (RATE, 35.0, [21.0, 21.1] * 3)],
    ids=["seen", "rate"],
)
def test_only_the_fault_that_was_named_is_forgotten_and_the_next_one_teaches(
    config: DetectConfig, odd: float, calm: list[float]
) -> None:
    plant = Watched(config, [*BEFORE, odd])
    plant.says("fault", plant.said[0])
    plant.sees(*calm)

    assert [one.event for one in plant.sees(odd, *calm)] == ["raised", "cleared"]
    assert plant.sees(odd, *calm) == []


def test_a_fault_below_the_range_is_forgotten_too() -> None:
    plant = Watched(SEEN, [*BEFORE, 15.0, 21.0])
    plant.says("fault", plant.said[0])

    assert [one.event for one in plant.sees(15.0)] == ["raised"]


def test_the_fastest_change_is_accepted_and_not_only_the_one_that_was_told() -> None:
    plant = Watched(RATE, [*BEFORE, 31.0, 17.0])  # by 10 and back by 14, less than twice as fast
    plant.says("accept", plant.said[0])

    assert [one.event for one in plant.said] == ["raised"]
    assert plant.sees(39.0, 21.0) == [], "22 more in the same time: less than 1.9 times as fast as by 14"


def test_a_level_of_long_ago_is_not_what_a_fault_goes_back_to() -> None:
    plant = Watched(SPIKE, [*BEFORE, *noise(200, seed=2, mean=35.0)])
    (spike,) = plant.sees(60.0)
    plant.sees(*noise(4, seed=3, mean=35.0))

    plant.says("fault", spike)

    (again,) = plant.sees(60.0)
    assert again.event == "raised"
    assert again.low == pytest.approx(spike.low, abs=0.5)


def test_a_second_fault_forgets_nothing_that_was_learnt_since_the_first() -> None:
    plant = Watched(SPIKE, [*BEFORE, *noise(70, seed=2, mean=35.0)])
    raised = plant.said[0]
    plant.says("fault", raised)
    plant.sees(*(value + place / 400 for place, value in enumerate(noise(800, seed=3))))
    name = [(keyed(series([0.0]))[0].key, "boiler-7", "temperature")]
    before = plant.bank.expected(name)

    for verb in ("accept", "fault"):
        plant.says(verb, raised)

    assert plant.bank.expected(name) == before


def test_a_run_that_was_accepted_after_it_was_over_may_come_again() -> None:
    plant = Watched(STUCK, [*BEFORE, *[22.0] * 30, 21.0])
    raised, cleared = plant.said
    assert cleared.event == "cleared"
    plant.says("accept", raised)

    assert plant.sees(*[22.0] * 100, 21.0) == []


def test_a_silence_that_was_accepted_is_told_again_when_it_is_half_as_long_again_until_it_is_a_fault() -> (
    None
):
    bank, readings = Bank(only(silence=True)), series([20.0] * 200, 30.0)
    bank.judge(keyed(readings))
    last = 199 * 30

    def next_one(since: int) -> Anomaly:
        times = range(since, since + 1000, 10)
        return next(one.anomaly for at in times for one in bank.advance("gw-1", NOON + at * SECOND))

    first = next_one(last)
    assert (first.event, first.score) == ("raised", 150.0)
    bank.command(command("accept", first))
    second = next_one(last + 180)
    assert (second.event, second.score) == ("raised", 225.0)
    bank.command(command("fault", second))
    bank.judge(keyed([reading(21.0, last + 300.0, seq=201)], offset=200))
    third = next_one(last + 300)
    assert (third.event, third.score) == ("raised", 151.5)


def test_a_run_that_was_accepted_may_come_again() -> None:
    plant = Watched(STUCK, [*BEFORE, *[22.0] * 30])
    plant.says("accept", plant.said[0])

    assert plant.sees(21.0, *[22.0] * 100, 21.0) == []


def test_a_run_that_was_called_a_real_fault_is_news_again() -> None:
    held = [*BEFORE[:50], *[22.0] * 60]
    for early in (True, False):
        plant = Watched(STUCK, [*BEFORE, *[22.0] * 60])
        marked = plant.says("fault", plant.said[0]) if early else []
        plant.sees(*BEFORE[:50])
        marked = marked or plant.says("fault", plant.said[0])
        assert marked[0].sentence.startswith("called a real fault by anna: at most ")
        assert [one.event for one in plant.sees(*[22.0] * 60)] == ["raised", "updated"]
    assert [one.event for one in Watched(STUCK, [*BEFORE, *held, *held]).said] == [
        "raised",
        "updated",
        "cleared",
    ]


def test_what_goes_on_after_it_was_accepted_is_another_anomaly() -> None:
    """So that each id is raised once and cleared once."""
    plant = Watched(STUCK, [*BEFORE, *[22.0] * 30])
    raised = [one for one in plant.said if one.event == "raised"]
    for _ in range(2):
        plant.says("accept", raised[-1])
        while plant.bank.open == 0:
            raised += plant.sees(*[22.0] * 30)

    assert len({one.id for one in raised}) == len(raised) == 3
    assert len({(one.first_seq, one.since) for one in raised}) == 1
    assert [one.event for one in plant.says("ack", raised[-1])] == ["acknowledged"]
    assert plant.says("ack", raised[0]) == []


def test_a_limit_is_not_moved_by_accepting() -> None:
    plant = Watched(HOT, [99.0])

    (said,) = plant.says("accept", plant.said[0])

    assert said.sentence == (
        "accepted as normal by anna: the high limit 80 stays: raise it in detect.toml if it is too tight"
    )
    assert said.event == "accepted"
    assert [one.event for one in plant.sees(99.0, 20.0, 99.0)] == ["cleared", "raised"], "it was open still"


@given(st.lists(st.sampled_from(["ack", "accept", "fault"]), max_size=8))
def test_words_that_are_heard_again_after_a_restart_are_not_obeyed_again(verbs: list[str]) -> None:
    """Each start reads the topic of commands from its beginning."""
    plant = Watched(HOT, [99.0])
    words = [
        msgspec.structs.replace(command(verb, plant.said[0]), time=NOON + place)
        for place, verb in enumerate(verbs)
    ]
    for word in words:
        plant.bank.command(word)
    state = dict(plant.bank.snapshot(10))

    plant.bank = Bank(HOT)
    for key, value in state.items():
        plant.bank.restore(key, value)

    assert [one for word in words for one in plant.bank.command(word)] == []
    assert dict(plant.bank.changed()) == {}


@given(st.lists(st.sampled_from(["ack", "accept", "fault"]), max_size=8), st.integers(0, 3))
def test_any_words_at_any_time_leave_a_story_whole(verbs: list[str], calm: int) -> None:
    plant = Watched(HOT, [99.0, *[20.0] * calm])
    events = [one.event for one in plant.said]
    for verb in verbs:
        events += [one.event for one in plant.says(verb, plant.said[0])]
    events += [one.event for one in plant.sees(20.0)]

    assert events[0] == "raised"
    assert events.count("raised") == events.count("cleared") == 1
    assert plant.bank.open == 0
