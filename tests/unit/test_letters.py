import argparse
from collections import Counter
from fnmatch import fnmatchcase

import pytest
import replaying
from hypothesis import given
from hypothesis import strategies as st

from gateway import wire
from gateway.cli.dead_letters.showing import dump, example, reading_line
from gateway.letters import EVERY, Filter, Found, Letter, Place, address, begins

places = st.builds(Place, st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1))
names = st.sampled_from(["line-1", "line-2", "plant", "pi-7", "pi-8", "*"])
contents = st.builds(
    wire.DeadLetter,
    v=st.just(1),
    gateway=names,
    source=names,
    place=st.text(max_size=5),
    reason=st.sampled_from(["not JSON", "NOT json: byte 4", "checksum wrong"]),
    received=st.integers(0, 9),
    size=st.integers(0, 99),
    payload=st.binary(max_size=9),
    spool=st.sampled_from(["", "a", "b"]),
    seq=st.integers(0, 5),
)


@given(places)
def test_the_address_of_a_letter_is_read_as_it_is_shown(place: Place) -> None:
    assert address(str(place)) == place


@given(st.text(max_size=12) | st.from_regex(r"[0-9a-f:]{1,12}"))
def test_what_is_no_address_is_refused_with_what_one_is(text: str) -> None:
    try:
        found = address(text)
    except argparse.ArgumentTypeError as error:
        assert "write PARTITION:OFFSET" in str(error)  # noqa: PT017
    else:
        assert text.isascii()
        assert str(found) == text or str(Place(*map(int, text.split(":")))) == str(found)


@given(st.lists(places | st.just("0123abcd"), max_size=5))
def test_addresses_say_how_far_back_to_read_unless_one_is_of_a_group(wanted: list[Place | str]) -> None:
    found = begins(wanted)
    if not wanted or "0123abcd" in wanted:
        assert found is None
    else:
        assert found is not None
        pairs = [one for one in wanted if isinstance(one, Place)]
        assert found.keys() == {one.partition for one in pairs}
        assert all(found[one.partition] <= one.offset for one in pairs)
        assert set(found.items()) <= set(pairs)


@given(st.lists(contents, max_size=20), names, names, st.sampled_from(["", "json", "SUM"]), st.integers(0, 9))
def test_filters_take_what_they_say_and_groups_lose_none(
    letters: list[wire.DeadLetter], gateway: str, source: str, reason: str, since: int
) -> None:
    wanted = Filter(gateway, source, reason, since)
    found = Found(wanted.takes, kept=4, room=10**6)
    for offset, one in enumerate(letters):
        found.take(Place(0, offset), 0, wire.encode_dead_letter(one))

    meant = [
        (offset, one)
        for offset, one in enumerate(letters)
        if gateway in (EVERY, one.gateway)
        and fnmatchcase(one.source, source)
        and reason.lower() in one.reason.lower()
        and one.received >= since
    ]
    once = {
        (one.gateway, one.spool, one.seq if one.spool else offset): one for offset, one in reversed(meant)
    }
    assert len(found.letters) == len(once)
    assert len(found.copies) == len(meant) - len(once)
    groups = found.groups()
    assert Counter({group.newest.group: group.count for group in groups}) == Counter(
        Letter(Place(0, 0), 0, one).group for one in once.values()
    )
    assert [group.last for group in groups] == sorted((group.last for group in groups), reverse=True)


def test_a_mark_is_of_its_gateway_only_as_cloned_cards_share_the_id_of_a_spool() -> None:
    found = Found(lambda _: True, kept=9, room=99)
    for offset, gateway in enumerate(("pi-7", "pi-8")):
        one = replaying.letter(1, b"x", gateway=gateway)
        found.take(Place(0, offset), 0, wire.encode_dead_letter(one))
    spool = next(iter(found.letters.values())).spool
    found.take(Place(0, 2), 0, wire.encode_replayed(wire.Replayed(1, "pi-8", "line", "0:1", spool, 1, 1)))

    assert [(group.newest.content.gateway, group.replayed) for group in found.groups()] == [
        ("pi-7", 0),
        ("pi-8", 1),
    ]


def test_letters_beyond_the_room_are_counted_and_not_held() -> None:
    found = Found(lambda _: True, kept=100, room=250)
    for n in range(5):
        found.take(Place(0, n), 0, wire.encode_dead_letter(replaying.letter(n, bytes(100))))

    assert (len(found.letters), found.left) == (2, 3)


@given(st.binary(max_size=200), st.text(max_size=200))
def test_whatever_a_device_sent_is_harmless_to_a_terminal(data: bytes, text: str) -> None:
    shown = [example(data), example(text.encode(errors="replace")), *dump(data)]
    shown.append(reading_line(replaying.reading(text, 1), "now"))

    assert all(line.isprintable() for line in shown)
    assert all(len(line) <= 40 for line in shown[:2])


def test_a_dump_shows_offset_bytes_and_characters() -> None:
    assert list(dump(b"t=21.5\x00h=40\r\n\xff~ab")) == [
        "00000000  74 3d 32 31 2e 35 00 68 3d 34 30 0d 0a ff 7e 61  |t=21.5.h=40...~a|",
        "00000010  62                                               |b|",
    ]


@pytest.mark.parametrize(
    "words", [["show"], ["show", "0:x"], ["list", "--last", "0"], ["replay", "--last", "x"]]
)
def test_options_that_are_none_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from gateway.cli.main import main  # noqa: PLC0415

    with pytest.raises(SystemExit) as ended:
        main(["dead-letters", *words])
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
