import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from devices.mqtt.topics import TOPIC_LIMIT, Names, Pattern, PatternError

WORDS = ["a", "b", "", "$SYS", "é"]
levels_of_topic = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5)
levels_of_pattern = st.lists(st.sampled_from([*WORDS, "+", "{device}", "{sensor}"]), min_size=1, max_size=5)


def naive(pattern: list[str], topic: list[str], found: dict[str, str]) -> dict[str, str] | None:
    """The words of the MQTT specification, level by level."""
    if pattern == ["#"]:
        return found
    if not pattern or not topic:
        return found if pattern == topic else None
    first = pattern[0]
    if first in ("{device}", "{sensor}"):
        found = {**found, first: topic[0]}
    elif first not in ("+", topic[0]):
        return None
    return naive(pattern[1:], topic[1:], found)


@given(pattern=levels_of_pattern, open_end=st.booleans(), topic=levels_of_topic)
@example(pattern=["a"], open_end=True, topic=["a"])
@example(pattern=["+"], open_end=True, topic=["$SYS", "a"])
def test_a_topic_fits_a_pattern_as_the_specification_says(
    pattern: list[str], *, open_end: bool, topic: list[str]
) -> None:
    pattern = pattern + ["#"] * open_end
    assume(pattern.count("{device}") <= 1 and pattern.count("{sensor}") <= 1 and pattern != [""])
    found = naive(pattern, topic, {})
    if topic[0].startswith("$") and pattern[0] in ("+", "#", "{device}", "{sensor}"):
        found = None
    expected = found if found is None else Names(found.get("{device}", ""), found.get("{sensor}", ""))
    assert Pattern("/".join(pattern)).match("/".join(topic)) == expected


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_a_pattern_or_a_pattern_error_and_no_topic_breaks_it(text: str, topic: str) -> None:
    try:
        pattern = Pattern(text)
    except PatternError:
        return
    pattern.match(topic)
    assert "{device}" not in pattern.filter


@pytest.mark.parametrize(
    ("pattern", "filter_"),
    [
        ("plant/{device}/{sensor}", "plant/+/+"),
        ("zigbee2mqtt/{device}", "zigbee2mqtt/+"),
        ("site/+/{device}/#", "site/+/+/#"),
        ("$share/gateways/plant/{device}/#", "$share/gateways/plant/+/#"),
        ("#", "#"),
    ],
)
def test_a_pattern_subscribes_to_the_topics_it_fits(pattern: str, filter_: str) -> None:
    assert Pattern(pattern).filter == filter_


def test_a_shared_subscription_names_its_topics_without_the_group() -> None:
    assert Pattern("$share/gateways/{device}/{sensor}").match("boiler/t") == Names("boiler", "t")
    assert Pattern("$share/gateways/{device}/{sensor}").match("$share/gateways") is None


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("a/#/b", "# before its end"),
        ("a+/b", "a whole level"),
        ("a/b#", "a whole level"),
        ("sensor-{device}/t", "neither {device} nor {sensor}"),
        ("{room}/t", "neither {device} nor {sensor}"),
        ("{device}/{device}", "{device} twice"),
        ("$share/group", "no shared subscription"),
        ("$share//a", "no shared subscription"),
        ("$share/g+/a", "no shared subscription"),
        ("a\0b", "null character"),
        ("a" * (TOPIC_LIMIT + 1), "longer than"),
        ("", "is empty"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_reason(pattern: str, problem: str) -> None:
    with pytest.raises(PatternError) as error:
        Pattern(pattern)
    assert problem in str(error.value)
