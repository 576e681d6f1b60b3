"""What is said on a status topic, and how often."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from devices.mqtt import own_status
from devices.mqtt.own_status import OwnStatus

TEMPLATE = "gateways/{gateway}/{source}"


def said(words: list[bytes]) -> list[tuple[str, list[str]]]:
    return [(word["health"], word["reasons"]) for word in map(json.loads, words)]


def wait(one: OwnStatus) -> float:
    """Seconds until it speaks again."""
    assert isinstance(one._timer, asyncio.TimerHandle)
    return one._timer.when() - asyncio.get_running_loop().time()


def test_a_health_that_flaps_is_told_once_per_pause_and_in_the_end_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        one, words = OwnStatus(TEMPLATE, "gw", "plant"), list[bytes]()
        one.begin(words.append)
        one.announce("healthy", [])
        assert wait(one) <= 0
        await until(lambda: len(words) == 2, "the first change, at once")
        one.announce("down", ["a"])
        assert 1 < wait(one) <= own_status.PAUSE
        one.announce("healthy", [])
        assert one._timer is None
        monkeypatch.setattr(own_status, "PAUSE", 0.02)
        for _ in range(10):
            one.announce("down", ["a"])
            one.announce("healthy", [])
        one.announce("degraded", ["b"])
        await until(lambda: len(words) == 3, "the last of them")
        assert said(words) == [("unknown", []), ("healthy", []), ("degraded", ["b"])]
        one.end()

    asyncio.run(scenario())


def test_numbers_that_change_in_a_reason_are_told_less_often_than_the_health() -> None:
    async def scenario() -> None:
        one, words = OwnStatus(TEMPLATE, "gw", "plant"), list[bytes]()
        one.announce("degraded", ["room for 100 s"])
        one.begin(words.append)
        one.announce("degraded", ["room for 99 s"])
        await until(lambda: len(words) == 2, "the first change, at once")
        one.announce("degraded", ["room for 98 s"])
        assert own_status.PAUSE < wait(one) <= own_status.SAME_HEALTH
        one.announce("down", ["no room"])
        assert wait(one) <= own_status.PAUSE
        one.end()

    asyncio.run(scenario())


def test_nothing_is_said_without_a_connection_or_a_topic_and_the_next_connection_hears_the_latest() -> None:
    async def scenario() -> None:
        one, words = OwnStatus(TEMPLATE, "gw", "plant"), list[bytes]()
        one.announce("healthy", [])
        one.begin(words.append)
        one.announce("down", ["a"])
        one.end()
        one.announce("degraded", ["b"])
        mute = OwnStatus("", "gw", "plant")
        mute.begin(words.append)
        mute.announce("healthy", [])
        await asyncio.sleep(0)
        assert said(words) == [("healthy", [])]
        one.begin(words.append)
        assert said(words)[1:] == [("degraded", ["b"])]
        one.end()

    asyncio.run(scenario())


@given(st.lists(st.text(st.characters())))
def test_a_word_stays_small_and_is_json_whatever_the_reasons_say(reasons: list[str]) -> None:
    async def scenario() -> bytes:
        one, words = OwnStatus(TEMPLATE, "gw", "plant"), list[bytes]()
        one.announce("down", [reason * 100 for reason in reasons])
        one.begin(words.append)
        one.end()
        return words[0]

    word = asyncio.run(scenario())
    assert len(word) < 4000
    assert len(json.loads(word)["reasons"]) == min(3, len(reasons))


@pytest.mark.parametrize(
    ("template", "topic", "is_status"),
    [
        (TEMPLATE, "gateways/gw/plant", True),
        (TEMPLATE, "gateways/another/line-1", True),
        (TEMPLATE, "gateways/gw/plant/x", False),
        (TEMPLATE, "gateways/gw", False),
        ("gw.{gateway}", "gw.7", True),
        ("gw.{gateway}", "gwx7", False),
        ("", "", False),
    ],
)
def test_a_status_is_known_by_its_topic_whoever_says_it(template: str, topic: str, is_status: Any) -> None:
    assert OwnStatus(template, "gw", "plant").is_status(topic) is is_status
