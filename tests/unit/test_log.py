import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog
from fake_journald import FakeJournald
from hypothesis import given
from hypothesis import strategies as st

from gateway import journal, log
from gateway.config import Log
from gateway.repeats import AT_ONCE

Format = Literal["auto", "console", "json", "journal"]

# Everything a device could send, half surrogate pairs and terminal commands included.
texts = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["", "\n", "a\nPRIORITY=0", "a\r\x1b[31m", "b=c", "\x85\u2028\u202e", "\x9b31m", "'\"\\", "\ud800", "\0"]
)


def written(
    form: Format,
    write: Callable[[Any], object],
    level: Literal["debug", "info"] = "info",
    stderr: io.StringIO | None = None,
) -> str:
    before, sys.stderr = sys.stderr, stderr or io.StringIO()
    try:
        log.configure(Log(format=form, level=level), "gatewayd")
        write(structlog.get_logger())
        log.end()
        return sys.stderr.getvalue()
    finally:
        sys.stderr = before


def log_error(text: str) -> Callable[[Any], object]:
    return lambda to: to.error("it failed", exc_info=RuntimeError(text))


@pytest.fixture(scope="module")
def journald(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeJournald]:
    path = tmp_path_factory.mktemp("journal") / "socket"
    fake = FakeJournald(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "SOCKET", path)
        yield fake
    fake.socket.close()


def test_the_journal_gets_native_fields(journald: FakeJournald) -> None:
    rest = written("journal", lambda to: to.warning("source lost", device="boiler-7", sensor=None, tries=3))

    assert rest == ""
    assert journald.receive() == {
        "MESSAGE": "source lost device='boiler-7' sensor=None tries=3",
        "EVENT": "source lost",
        "DEVICE": "boiler-7",
        "TRIES": "3",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "gatewayd",
        "SYSLOG_PID": str(os.getpid()),
    }


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)]
)
def test_the_journal_gets_the_urgency_of_each_level(
    journald: FakeJournald, level: str, priority: int
) -> None:
    written("journal", lambda to: getattr(to, level)("x"), level="debug")

    assert journald.receive()["PRIORITY"] == str(priority)


def test_a_traceback_goes_to_the_journal_in_the_message(journald: FakeJournald) -> None:
    written("journal", log_error("boom"))

    fields = journald.receive()
    assert fields["MESSAGE"].startswith("it failed\n")
    assert "RuntimeError: boom" in fields["MESSAGE"]
    assert fields["PRIORITY"] == "3"


def test_a_field_too_large_for_a_datagram_arrives_whole(journald: FakeJournald) -> None:
    written("journal", lambda to: to.info("x", payload="\n" * 1_000_000))

    assert journald.receive()["PAYLOAD"] == "\n" * 1_000_000


def test_a_table_goes_to_the_journal_as_json(journald: FakeJournald) -> None:
    written("journal", lambda to: to.info("stopped", ledger={"line-1": {"made": 3}}, topics=["a", "b"]))

    fields = journald.receive()
    assert json.loads(fields["LEDGER"]) == {"line-1": {"made": 3}}
    assert json.loads(fields["TOPICS"]) == ["a", "b"]


def test_how_many_were_left_out_is_in_words_and_in_a_field(journald: FakeJournald) -> None:
    def write(to: Any) -> None:
        for number in range(AT_ONCE + 413):
            to.warning("device silent", source="plant", device=f"d{number}")

    written("journal", write)

    *_, last = [journald.receive() for _ in range(AT_ONCE + 1)]
    assert last["MESSAGE"].startswith("device silent, and 412 more in the last minute source='plant'")
    assert (last["EVENT"], last["AND_MORE"]) == ("device silent", "412")
    shown = written("console", write).splitlines()
    assert len(shown) == AT_ONCE + 1
    assert "device silent, and 412 more in the last minute" in shown[-1]
    assert json.loads(written("json", write).splitlines()[-1])["and_more"] == 412


def test_a_field_cannot_pose_as_one_that_the_journal_trusts(journald: FakeJournald) -> None:
    written("journal", lambda to: to.info("x", _pid=1, priority=0, **{"a b": 2}))

    fields = journald.receive()
    assert (fields["PID"], fields["PRIORITY"], fields["A_B"]) == ("1", "6", "2")


def test_without_a_journal_the_event_is_on_stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SOCKET", tmp_path / "absent")

    assert written("journal", lambda to: to.error("full", device="a\nb")) == "<3>full device='a\\nb'\n"
    lines = written("journal", lambda to: to.info("x", exc_info=RuntimeError("boom\n<0>boo"))).splitlines()
    assert all(line.startswith("<6>  | ") for line in lines[1:])
    assert lines[-1] == "<6>  | <0>boo"


@given(text=texts)
def test_any_text_stays_in_its_field_of_the_journal(journald: FakeJournald, text: str) -> None:
    written("journal", lambda to: to.info("seen", device=text, last="1"))

    fields = journald.receive()
    assert fields["DEVICE"] == text.encode("utf-8", "backslashreplace").decode()
    assert fields["EVENT"] == "seen"
    assert fields["LAST"] == "1"
    assert fields["MESSAGE"].splitlines() == [fields["MESSAGE"]]


@given(text=texts)
def test_any_text_stays_in_its_field_of_the_json(text: str) -> None:
    lines = written("json", lambda to: to.info("seen", device=text, last=1)).splitlines()

    found = json.loads(lines.pop())
    assert not lines
    # JSON spells characters beyond the basic plane as two halves, so two loose halves side by side become one.
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert (found["event"], found["device"], found["last"]) == ("seen", joined, 1)


@given(text=texts)
def test_any_text_on_the_console_is_part_of_one_printable_line(text: str) -> None:
    for write in (
        lambda to: to.info("seen", device=text, error=ValueError(text), seen=[text]),
        lambda to: to.info(text, logger=text, logger_name=text),
        lambda _: logging.getLogger("library").warning("said %s", text),
    ):
        line, end, rest = written("console", write).partition("\n")
        assert line.isprintable()
        assert (end, rest) == ("\n", "")


@given(text=texts)
def test_no_line_of_a_traceback_looks_like_an_event(text: str) -> None:
    head, *lines = written("console", log_error(text))[:-1].split("\n")

    assert head.endswith("it failed")
    assert lines
    for line in lines:
        assert line.startswith("  | ")
        assert line.isprintable()


def test_json_has_the_time_in_utc_and_the_program() -> None:
    found = json.loads(written("json", lambda to: to.info("ready", sources=3)))

    assert found.pop("timestamp").endswith("Z")
    assert found == {"level": "info", "event": "ready", "program": "gatewayd", "sources": 3}


def test_json_stays_json_whatever_the_value() -> None:
    line = written("json", lambda to: to.info("x", value=float("nan"), place=Path("/dev/ttyUSB0")))

    found = json.loads(line, parse_constant=pytest.fail)
    assert (found["value"], found["place"]) == ("nan", "/dev/ttyUSB0")


@pytest.mark.parametrize("form", ["console", "json"])
def test_events_below_the_level_are_not_written(form: Format) -> None:
    def write(to: Any) -> None:
        to.debug("too fine")
        logging.getLogger("library").debug("also too fine")

    assert written(form, write) == ""
    assert written(form, write, level="debug").count("\n") == 2


def test_libraries_log_to_the_same_place_under_their_name() -> None:
    found = json.loads(written("json", lambda _: logging.getLogger("paho").error("no %s", "route")))

    assert (found["level"], found["event"]) == ("error", "library message")
    assert (found["text"], found["logger"]) == ("no route", "paho")


def test_a_library_with_a_wrong_format_still_gets_its_event_out() -> None:
    found = json.loads(written("json", lambda _: logging.getLogger("x").info("%d things", "many")))

    assert found["text"] == "%d things"


def test_auto_is_the_console_unless_stderr_is_the_journal(
    journald: FakeJournald, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "stderr").open("w+") as file:
        monkeypatch.setattr(sys, "stderr", file)
        found = os.fstat(file.fileno())
        for stream in ("", "nonsense", f"{found.st_dev}:{found.st_ino + 1}"):
            monkeypatch.setenv("JOURNAL_STREAM", stream)
            log.configure(Log(), "gatewayd")
            structlog.get_logger().info("to the file")
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        log.configure(Log(), "gatewayd")
        structlog.get_logger().info("to the journal")

        file.seek(0)
        assert [line.split("] ")[1].strip() for line in file] == ["to the file"] * 3
    assert journald.receive()["EVENT"] == "to the journal"


def test_only_a_terminal_gets_colours() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert "\x1b[" in written("console", lambda to: to.info("ready"), stderr=Terminal())
    assert "\x1b[" not in written("console", lambda to: to.info("ready"))


def test_a_full_disk_does_not_stop_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        log.configure(Log(format="console"), "gatewayd")
        structlog.get_logger().info("goes nowhere")
        # What is still in its buffer would be tried again when it is closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
