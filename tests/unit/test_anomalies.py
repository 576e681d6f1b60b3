"""How each anomaly stands by the records of its topic, and how people name it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.anomalies import SHORTEST, Anomalies, NoSuchAnomaly, Story, folded, state_of
from gateway.wire import VERSION, Anomaly, decode_anomaly, encode_anomaly

MINUTE = 60_000_000_000


def event(name: str, kind: str = "raised", at: int = 0, **fields: object) -> Anomaly:
    table = {
        "v": VERSION,
        "id": name,
        "event": kind,
        "rule": "limits",
        "grade": "alarm",
        "gateway": "gw-1",
        "device": "boiler-7",
        "sensor": "temperature",
        "value": 82.1,
        "sentence": f"{kind} at {at}",
        "since": 0,
        "time": at * MINUTE,
        "spool": "spool-1",
        "seq": at,
        **fields,
    }
    one = Anomaly(**table)  # type: ignore[arg-type]
    return decode_anomaly(encode_anomaly(one))


def told(events: Sequence[Anomaly]) -> Story:
    anomalies = Anomalies()
    for one in events:
        anomalies.take(one)
    (story,) = anomalies.stories()
    return story


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (["raised"], "open"),
        (["raised", "updated"], "open"),
        (["raised", "acknowledged"], "acknowledged"),
        (["raised", "acknowledged", "updated"], "acknowledged"),
        (["raised", "fault"], "acknowledged"),
        (["raised", "cleared"], "cleared"),
        (["raised", "acknowledged", "cleared"], "cleared"),
        (["raised", "cleared", "acknowledged"], "cleared"),
        (["raised", "cleared", "fault"], "cleared"),
        (["raised", "cleared", "accepted"], "cleared"),
        (["raised", "accepted"], "acknowledged"),  # a limit
        (["raised", "accepted", "updated", "cleared"], "cleared"),
        (["acknowledged"], "acknowledged"),
        (["accepted"], "cleared"),
        (["raised", "cleared", "raised", "cleared"], "cleared"),
    ],
)
def test_the_events_of_an_anomaly_make_its_state(events: list[str], state: str) -> None:
    assert told([event("a1", kind, at) for at, kind in enumerate(events)]).state == state


@pytest.mark.parametrize("word", ["acknowledged", "accepted", "fault"])
def test_what_people_say_of_one_that_is_cleared_does_not_open_it_again(word: str) -> None:
    listed = Anomalies(lambda story: story.state != "cleared")
    for at, kind in enumerate(["raised", "cleared", word, "acknowledged"]):
        story = listed.take(event("a1", kind, at))

    assert story.state == "cleared"
    assert listed.stories() == []


def test_of_accept_and_fault_the_last_word_counts() -> None:
    words = [("acknowledged", "ann"), ("fault", "bob"), ("cleared", "cem"), ("fault", "dan")]
    stories = [
        told([event("a1"), *(event("a1", kind, by=by) for kind, by in words[:count])]) for count in range(5)
    ]

    assert [one.heard for one in stories] == [
        {},
        {"ack": "ann"},
        {"ack": "ann", "fault": "bob"},
        {"ack": "ann", "accept": "cem"},
        {"ack": "ann", "fault": "dan"},
    ]
    assert told([event("a1"), event("a1", "cleared", 1)]).heard == {}, "by the sensor itself"


def test_what_people_said_does_not_hide_what_the_sensor_does() -> None:
    story = told([event("a1"), event("a1", "updated", 1), event("a1", "acknowledged", 2)])

    assert story.last.sentence == "updated at 1"


def test_cleared_ones_that_nobody_asked_for_are_not_kept_but_their_ids_count() -> None:
    anomalies = Anomalies(lambda story: story.state != "cleared")
    for one in (event("abcdefg1"), event("abcdefg1", "cleared", 1), event("abcdefg2")):
        anomalies.take(one)

    assert [one.last.id for one in anomalies.stories()] == ["abcdefg2"]
    assert anomalies.short("abcdefg2") == "abcdefg2"


def test_the_oldest_comes_first() -> None:
    anomalies = Anomalies()
    for one in (event("b", since=2), event("a", since=3), event("c", since=1)):
        anomalies.take(one)

    assert [one.last.id for one in anomalies.stories()] == ["c", "b", "a"]


@given(st.sets(st.text("0123456789abcdef", min_size=1, max_size=12), min_size=1, max_size=40))
def test_what_is_shown_of_an_id_finds_it(ids: set[str]) -> None:
    anomalies = Anomalies()
    for name in ids:
        anomalies.take(event(name))

    for name in ids:
        shown = anomalies.short(name)
        assert name.startswith(shown)
        assert len(shown) >= min(SHORTEST, len(name))
        assert anomalies.find(shown).last.id == name


def test_an_ambiguous_beginning_is_refused_with_those_it_could_be() -> None:
    anomalies = Anomalies()
    for name in ("3f09a1c111", "3f09a1c222", "77"):
        anomalies.take(event(name))

    with pytest.raises(NoSuchAnomaly) as refusal:
        anomalies.find("3F0")
    assert str(refusal.value) == (
        "'3f0' is the beginning of several ids: 3f09a1c1, 3f09a1c2; write more of it"
    )


@pytest.mark.parametrize("prefix", ["ff", "", "  ", "\x1b[2J"])
def test_an_unknown_beginning_is_refused(prefix: str) -> None:
    anomalies = Anomalies()
    anomalies.take(event("3f09a1c111"))

    with pytest.raises(NoSuchAnomaly, match="no anomaly has an id that begins with"):
        anomalies.find(prefix)


def test_a_storm_is_one_with_all_that_are_in_it() -> None:
    anomalies = Anomalies()
    for name in ("m1", "m2", "m3"):
        anomalies.take(event(name, storm="s1", since=1))
    anomalies.take(event("s1", rule="storm", storm="s1", since=1, device="", sensor=""))
    anomalies.take(event("x1", since=2))

    assert [(head.last.id, len(behind)) for head, behind in folded(anomalies.stories())] == [
        ("s1", 3),
        ("x1", 0),
    ]


def test_a_storm_whose_own_record_is_gone_is_one_too() -> None:
    anomalies = Anomalies()
    for name in ("m1", "m2"):
        anomalies.take(event(name, storm="s1"))
    anomalies.take(event("n1", storm="s2"))

    assert [(head.last.id, len(behind)) for head, behind in folded(anomalies.stories())] == [
        ("m1", 2),
        ("n1", 0),
    ]


def test_a_storm_stands_as_the_worst_in_it() -> None:
    storm, first, second = (Story(event(name), 0) for name in ("s", "m1", "m2"))
    first.take(event("m1", "acknowledged"))
    assert state_of(storm, [first, second]) == "open"
    second.take(event("m2", "fault"))
    assert state_of(storm, [first, second]) == "acknowledged"
    assert state_of(storm, []) == "open"
