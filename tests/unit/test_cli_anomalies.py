"""`gatewayctl anomalies` and the words about them, with the topic's records at hand."""

import datetime as dt
import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from gateway import terminal
from gateway.cli import anomalies, answer
from gateway.cli.main import main
from gateway.cli.records import kafka_of
from gateway.config import DetectKafka
from gateway.kafka.client import Record
from gateway.kafka.readback import ReadbackError
from gateway.moments import moment, point
from gateway.terminal import plain
from gateway.wire import VERSION, Anomaly, decode_command

HOUR = 3600 * 10**9
NOW = 1_800_000_000 * 10**9
EVIL = "\x1b[2J\x07[red]gone[/red]\u202e"


def event(name: str, kind: str = "raised", **fields: object) -> Anomaly:
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
        "sentence": "82.1 °C is above the high limit 80 °C",
        "since": NOW,
        "time": NOW,
        "spool": "spool-1",
        "seq": 1,
        **fields,
    }
    return Anomaly(**table)  # type: ignore[arg-type]


class Topic:
    """In place of the topic in Kafka: what it holds, and what comes after a command."""

    lots: ClassVar[list[list[Anomaly | ReadbackError]]] = []
    said: ClassVar[list[Record]] = []
    damaged = 0

    def __init__(self, _kafka: DetectKafka) -> None:
        pass

    def records(self) -> Iterator[Anomaly]:
        for one in self.lots.pop(0) if self.lots else []:
            if isinstance(one, ReadbackError):
                raise one
            yield one

    def close(self) -> None:
        pass


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> type[Topic]:
    def say(_kafka: DetectKafka, records: Sequence[Record]) -> None:
        Topic.said += records

    Topic.lots, Topic.said = [], []
    for module in (anomalies, answer):
        monkeypatch.setattr(module, "Topic", Topic)
    monkeypatch.setattr(answer, "say", say)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return Topic


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "detect.toml"
    path.write_text('[kafka]\ncommands_topic = "words"\n', encoding="utf-8")
    return str(path)


@pytest.fixture
def listed(topic: type[Topic], config: str, capsys: pytest.CaptureFixture[str]) -> "Listed":
    return Listed(topic, config, capsys)


class Listed:
    """Runs `gatewayctl anomalies` over some records."""

    def __init__(self, topic: type[Topic], config: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._topic, self._config, self._capsys = topic, config, capsys

    def __call__(self, records: Sequence[Anomaly], *options: str) -> tuple[int, str]:
        self._topic.lots = [list(records)]
        code = main(["anomalies", "--config", self._config, *options])
        return code, self._capsys.readouterr().out


def test_open_anomalies_are_a_table(listed: Listed) -> None:
    code, out = listed([event("aaaaaaaaaa"), event("bbbbbbbbbb"), event("bbbbbbbbbb", "cleared")])

    assert code == 1
    assert out.splitlines() == [
        "ID       SINCE                SENSOR                RULE    GRADE  STATE  WHAT",
        "aaaaaaa  2027-01-15 08:00:00  boiler-7 temperature  limits  alarm  open   82.1 °C is above the high limit 80 °C",
    ]


def test_with_all_the_cleared_ones_are_there_too(listed: Listed) -> None:
    code, out = listed(
        [event("bbbbbbbbbb"), event("bbbbbbbbbb", "cleared", sentence="back at 70 °C")], "--all"
    )

    assert code == 0
    assert "cleared  back at 70 °C" in out


def test_nothing_open_is_said(listed: Listed) -> None:
    assert listed([]) == (0, "No anomaly is open.\n")


@pytest.mark.parametrize(
    ("option", "ids"),
    [
        (["--device", "pump*"], ["pump"]),
        (["--sensor", "flow"], ["flow"]),
        (["--rule", "sp*"], ["spike"]),
        (["--grade", "advisory"], ["spike"]),
        (["--since", "2027-01-15T09:00"], ["late"]),
        ([], ["flow", "late", "pump", "spike"]),
    ],
)
def test_filters_choose(listed: Listed, option: list[str], ids: list[str]) -> None:
    records = [
        event("pump", device="pump-1"),
        event("flow", sensor="flow"),
        event("spike", rule="spike", grade="advisory"),
        event("late", time=NOW + HOUR),
    ]
    _, out = listed(records, "--json", *option)

    assert [json.loads(line)["id"] for line in out.splitlines()] == ids


@pytest.mark.parametrize("text", ["yesterday", "12", "h", "2026-13-01", "99999999999h"])
def test_a_time_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["anomalies", "--since", text])
    assert "is no time: write how long ago, such as 12h" in capsys.readouterr().err


def test_how_long_ago_is_a_time() -> None:
    assert point("90min") == pytest.approx(time.time_ns() - 90 * 60 * 10**9, abs=60 * 10**9)


def test_a_time_without_a_zone_is_of_the_one_that_is_meant() -> None:
    noon = 1_769_860_800 * 10**9
    assert point("2026-01-31T12:00", dt.UTC) == point("2026-01-31T13:00+01:00", dt.UTC) == noon
    assert point(str(noon // 10**9), dt.UTC) == point(str(noon // 10**6)) == noon
    local = dt.datetime(2026, 1, 31, 12).astimezone()
    assert point("2026-01-31 12:00") == round(local.timestamp()) * 10**9


def test_text_of_devices_does_nothing_to_the_terminal(listed: Listed) -> None:
    for options in ([], ["--all"]):
        _, out = listed([event("aa", device=EVIL, sensor=EVIL, sentence=EVIL, rule=EVIL)], *options)

        assert plain(EVIL) in out
        assert all(one.isprintable() for line in out.splitlines() for one in line)


def test_a_storm_is_one_line_with_how_many(listed: Listed) -> None:
    records = [event(f"m{place:02}xxxxxx", storm="s1", device=f"pump-{place}") for place in range(12)]
    head = event(
        "s1", rule="storm", storm="s1", device="", sensor="", sentence="12 sensors raised 12 anomalies"
    )
    _, out = listed([*records, head])

    assert len(out.splitlines()) == 2
    assert "gw-1: many" in out
    assert "12 sensors raised 12 anomalies (12 of them listed here)" in out

    _, out = listed([*records, head], "--device", "pump-1*")
    assert len(out.splitlines()) == 4


def test_two_gateways_are_told_apart(listed: Listed) -> None:
    _, out = listed([event("aa"), event("bb", gateway="gw-2")])

    assert "gw-1/boiler-7 temperature" in out
    assert "gw-2/boiler-7 temperature" in out


def test_what_concerns_a_whole_gateway_is_called_so(listed: Listed) -> None:
    silence = event("aa", rule="gateway-silence", device="", sensor="", gateway="pi-7")
    for others in ([], [event("bb")]):
        _, out = listed([silence, *others])
        assert "  pi-7 (gateway)  " in out


@pytest.mark.parametrize(
    ("count", "told"), [(1, "1 record of the topic is no anomaly"), (2, "2 records of the topic are no anom")]
)
def test_records_that_are_no_anomalies_are_counted(
    topic: type[Topic],
    config: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    told: str,
) -> None:
    monkeypatch.setattr(topic, "damaged", count)
    assert main(["anomalies", "--config", config]) == 0
    assert f"gatewayctl anomalies: {told}" in capsys.readouterr().err


def test_follow_goes_on_with_what_comes(
    topic: type[Topic], config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tick(_seconds: float) -> None:
        if not topic.lots:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", tick)
    topic.lots = [
        [event("aaaaaaaa")],
        [event("aaaaaaaa", "cleared", sentence="back at 70 °C"), event("b", sensor="x")],
    ]

    assert main(["anomalies", "--follow", "--sensor", "temp*", "--config", config]) == 130
    assert capsys.readouterr().out.splitlines()[2:] == [
        "2027-01-15 08:00:00  aaaaaaa  gw-1/boiler-7 temperature  limits  alarm  cleared: back at 70 °C"
    ]


def test_follow_waits_for_a_kafka_that_is_away_and_says_so_once_for_each_time(
    topic: type[Topic], config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tick(_seconds: float) -> None:
        if not topic.lots:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", tick)
    gone = ReadbackError("localhost:9092: Local: Unknown partition")
    topic.lots = [[], [event("aaaaaaaa"), gone], [gone], [gone], [event("bbbbbbbb")], [gone], [event("cc")]]

    assert main(["anomalies", "--follow", "--config", config]) == 130
    out, err = capsys.readouterr()
    assert [line.split()[2] for line in out.splitlines()[1:]] == ["aaaaaaa", "bbbbbbb", "cc"]
    said = "gatewayctl anomalies: goes on when Kafka answers again: localhost:9092: Local: Unknown partition"
    assert err.splitlines() == [said, said]


@pytest.mark.parametrize(
    ("verb", "event_name"), [("ack", "acknowledged"), ("accept", "cleared"), ("fault", "fault")]
)
def test_a_word_is_said_and_its_answer_shown(
    topic: type[Topic], config: str, capsys: pytest.CaptureFixture[str], verb: str, event_name: str
) -> None:
    answered = event("aaaaaaaa11", event_name, sentence=f"{verb} by maria")
    topic.lots = [[event("aaaaaaaa11"), event("bb")], [event("bb", event_name)], [answered]]

    assert main([verb, "aaaaaaaa", "--by", "maria", "--config", config]) == 0
    (record,) = topic.said
    command = decode_command(record.value)
    assert (record.topic, record.key) == ("words", b"aaaaaaaa11")
    assert (command.id, command.verb, command.by) == ("aaaaaaaa11", verb, "maria")
    assert abs(command.time - time.time_ns()) < 60 * 10**9
    assert capsys.readouterr().out == f"gw-1/boiler-7 temperature, limits: {verb} by maria\n"


def test_nobody_answering_is_told(
    topic: type[Topic], config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topic.lots = [[event("aaaaaaaa11")]]

    assert main(["fault", "aaaa", "--wait", "0", "--config", config]) == 1
    assert "no answer within 0 s about aaaaaaa" in capsys.readouterr().err
    assert len(topic.said) == 1


@pytest.mark.parametrize(
    ("verb", "event_name", "said"),
    [
        ("ack", "acknowledged", "acknowledged already by anna"),
        ("accept", "cleared", "accepted already by anna"),
        ("accept", "accepted", "accepted already by anna"),
        ("fault", "fault", "called a real fault already by anna"),
    ],
)
def test_what_was_said_is_not_said_again(
    topic: type[Topic], config: str, capsys: pytest.CaptureFixture[str], verb: str, event_name: str, said: str
) -> None:
    topic.lots = [[event("aaaaaaaa11"), event("aaaaaaaa11", event_name, by="anna")]]

    assert main([verb, "aaaa", "--config", config]) == 0
    assert capsys.readouterr().out == f"aaaaaaa is {said}\n"
    assert not topic.said


@pytest.mark.parametrize(("verb", "other"), [("fault", "accepted"), ("accept", "fault")])
def test_the_other_word_may_be_said_after_the_one(
    topic: type[Topic], config: str, verb: str, other: str
) -> None:
    earlier = event("aaaaaaaa11", {"fault": "fault", "accept": "accepted"}[verb], by="anna")
    topic.lots = [[event("aaaaaaaa11"), earlier, event("aaaaaaaa11", other, by="bob")], [earlier]]

    assert main([verb, "aaaa", "--config", config]) == 0
    assert len(topic.said) == 1


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_a_wait_that_is_none_is_refused(
    topic: type[Topic], config: str, capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    with pytest.raises(SystemExit):
        main(["ack", "aaaa", f"--wait={seconds}", "--config", config])
    assert f"'{seconds}' is not allowed: must be seconds, from 0 to 86400" in capsys.readouterr().err
    assert not topic.said


def test_a_word_about_a_storm_is_about_all_in_it(topic: type[Topic], config: str) -> None:
    members = [event(name, storm="s1") for name in ("m1", "m2", "m3")]
    over = event("m3", "cleared", storm="s1")
    head = event("s1", rule="storm", storm="s1")
    topic.lots = [[*members, over, head], [event("m1", "acknowledged"), event("m2", "acknowledged")]]

    assert main(["ack", "s1", "--config", config]) == 0
    assert {decode_command(one.value).id for one in topic.said} == {"m1", "m2"}


def test_an_unknown_id_is_refused_in_one_sentence(
    topic: type[Topic], config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topic.lots = [[event("aaaaaaaa11")]]

    assert main(["accept", "\x1b[2J", "--config", config]) == 2
    err = capsys.readouterr().err
    assert err.startswith("gatewayctl accept: no anomaly has an id that begins with")
    assert "\x1b" not in err
    assert not topic.said


def test_either_configuration_file_says_where_kafka_is(tmp_path: Path) -> None:
    gateway = tmp_path / "gateway.toml"
    gateway.write_text(
        '[kafka]\nbootstrap_servers = "a:1"\n[sources.s]\nkind = "simulator"\n', encoding="utf-8"
    )

    assert kafka_of(gateway).bootstrap_servers == "a:1"


def test_a_missing_file_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["anomalies", "--config", str(tmp_path / "none.toml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_moment_that_no_calendar_has_is_shown_as_a_number() -> None:
    assert moment(2**63 - 1).startswith("2262-")
    assert moment(-(2**63)).startswith("1677-")


def test_on_a_terminal_the_table_keeps_its_width_and_marks_nothing_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    terminal.table(("ID", "WHAT"), [("abc", "[bold]82.1 °C is above the high limit 80 °C[/bold] " * 2)])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()

    assert len(lines) > 2
    assert all(len(line) <= 60 for line in lines)
    assert "[bold]82.1 °C" in lines[1]
