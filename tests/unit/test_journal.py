"""What goes to journald: every field whole and its own, in order, and without anybody who waits for it."""

import io
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_journald import FakeJournald, fields_of
from hypothesis import given
from hypothesis import strategies as st

from gateway import journal
from gateway.journal import Entry, Journal, pack

names = st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)
values = st.text(st.characters(exclude_categories=()), max_size=200) | st.sampled_from(
    ["", "\n", "a\nPRIORITY=0\n", "\0", "\n\x08\0\0\0\0\0\0\0", "MESSAGE=forged", "\ud800", "x" * 3000]
)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeJournald]:
    one = FakeJournald(tmp_path / "socket")
    yield one
    one.socket.close()


@pytest.fixture
def sender(fake: FakeJournald) -> Iterator[Journal]:
    one = Journal("gatewayd", fake.path)
    yield one
    fake.socket.close()  # what still waits finds nobody
    assert one.drain(5)
    one.close()


def entry(text: str, priority: int = 6) -> Entry:
    return Entry(priority, text, pack([("MESSAGE", text)]))


@given(fields=st.dictionaries(names, values, max_size=8))
def test_every_value_is_in_its_own_field_whatever_it_is(fields: dict[str, str]) -> None:
    whole = {name: value.encode("utf-8", "backslashreplace").decode() for name, value in fields.items()}

    assert fields_of(pack(fields.items())) == whole


def test_an_entry_too_large_for_a_datagram_comes_as_a_file_that_nobody_can_change(
    fake: FakeJournald, sender: Journal
) -> None:
    sender.send(entry("\n" * 1_000_000))

    assert fake.receive() == {"MESSAGE": "\n" * 1_000_000}


def test_a_journald_that_takes_nothing_makes_nobody_wait_and_gets_all_of_it_in_order_later(
    fake: FakeJournald, sender: Journal
) -> None:
    longest, received = 0.0, []
    for number in range(2000):
        began = time.perf_counter()
        sender.send(entry(str(number)))
        longest = max(longest, time.perf_counter() - began)
        if number >= 1000 and number % 2:  # it wakes up, slowly: what comes now is not to overtake what waits
            received.append(fake.receive()["MESSAGE"])

    assert longest < journal.PATIENCE / 2
    assert not sender.drain(0.0)
    received += [fake.receive()["MESSAGE"] for _ in range(1500)]
    assert received == [str(number) for number in range(2000)]
    assert sender.drain(5)


def test_what_waits_is_bounded_errors_are_given_up_last_and_the_loss_is_said(
    fake: FakeJournald, sender: Journal
) -> None:
    each, count = "x" * 1000, 3000
    for _ in range(count):
        sender.send(entry(each))
    assert sender._size <= journal.ROOM
    for number in range(100):
        sender.send(entry(f"error {number}", 3))
    assert sender._size <= journal.ROOM_FOR_ERRORS

    received = [fake.receive()]
    while received[-1].get("EVENT") != "log events lost":
        received.append(fake.receive())
    lost = int(received[-1]["COUNT"])
    texts = [one["MESSAGE"] for one in received[:-1]]
    assert (lost > 0, texts.count(each) + lost) == (True, count)
    assert texts[-100:] == [f"error {number}" for number in range(100)]
    assert (received[-1]["PRIORITY"], received[-1]["SYSLOG_IDENTIFIER"]) == ("4", "gatewayd")
    assert sender.drain(5)
    assert sender._size == 0, "and there is room again"


def test_a_journald_that_was_started_again_is_found(fake: FakeJournald, sender: Journal) -> None:
    sender.send(entry("before"))
    assert fake.receive()["MESSAGE"] == "before"
    fake.socket.close()
    fake.path.unlink()
    again = FakeJournald(fake.path)
    sender.send(entry("after"))

    assert again.receive()["MESSAGE"] == "after"
    again.socket.close()


def test_where_no_journald_listens_each_line_is_on_stderr_with_its_urgency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    one = Journal("gatewayd", tmp_path / "absent")
    one.send(entry("source lost\n  | why", 4))

    assert one.drain(5)
    assert stderr.getvalue() == "<4>source lost\n<4>  | why\n"
    one.close()


def test_what_waited_while_journald_went_away_is_on_stderr(
    fake: FakeJournald, sender: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    for number in range(1000):
        sender.send(entry(str(number)))
    fake.socket.close()

    assert sender.drain(10)
    lines = stderr.getvalue().splitlines()
    assert lines == [f"<6>{number}" for number in range(1000)][-len(lines) :]
    assert len(lines) > 0


@pytest.mark.parametrize("there", [True, False])
def test_where_no_thread_can_be_started_it_waits_for_the_end_of_the_program(
    fake: FakeJournald, sender: Journal, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(sys, "stderr", stderr := io.StringIO())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    count = 0
    while not sender._waiting:
        sender.send(entry(str(count)))
        count += 1
    sender.send(entry(str(count)))
    assert not sender.drain(0.0)
    received = [fake.receive()["MESSAGE"] for _ in range(count - 1)]
    if not there:
        fake.socket.close()

    assert sender.drain(5)
    received += [fake.receive()["MESSAGE"] for _ in range(2)] if there else []
    received += [line.removeprefix("<6>") for line in stderr.getvalue().splitlines()]
    assert received == [str(number) for number in range(count + 1)]


def test_an_entry_larger_than_the_room_is_not_lost_where_nothing_else_waits(
    fake: FakeJournald, sender: Journal
) -> None:
    fake.path.rename(fake.path.with_name("away"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stderr := io.StringIO())
        sender.send(entry("x" * (journal.ROOM_FOR_ERRORS + 1)))
        assert sender.drain(5)

    assert len(stderr.getvalue()) == len("<6>\n") + journal.ROOM_FOR_ERRORS + 1
