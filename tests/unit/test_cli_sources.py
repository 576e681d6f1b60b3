"""`gatewayctl sources`: all of them, and one of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from answering import answering
from reported import report, source

from gateway.cli import main
from gateway.control_server import Verb
from gateway.source_verbs import source_settings
from gateway.sources import place_of

GOOD = source("plant", kind="mqtt", where="broker:8883", counts={"messages": 5, "connects": 3})
LOST = source(
    "line",
    state="lost",
    for_s=240.0,
    last_trouble="no such port",
    last_trouble_age_s=2.0,
    dead_letters=2,
    dead_letters_by_reason={"undecoded": 2, "damaged": 0},
)
TABLES: Mapping[str, Mapping[str, Any]] = {
    "plant": {
        "kind": "mqtt",
        "broker": "broker",
        "password": "s3cret",
        "topics": ["a/{device}", {"pattern": "b", "decoder": {"kind": "json", "api_key": "s3cret"}}],
    },
    "line": {"kind": "serial", "port": "socket://me:s3cret@host:1"},
}


def sources(tmp_path: Path, *words: str, known: bool = True) -> int:
    """Exit code of the command."""
    verbs = {"status": Verb("everybody", lambda _: report(GOOD, LOST))}
    if known:
        verbs["source settings"] = Verb("members", lambda asked: source_settings(TABLES, asked))
    with answering(tmp_path / "sock", verbs) as here:
        return main.main(["sources", *words, "--socket", str(here.path)])


def test_each_is_a_row_and_what_is_wrong_stands_below(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sources(tmp_path) == 1

    heads, plant, line, problem = capsys.readouterr().out.splitlines()
    assert heads.split() == (
        [
            "SOURCE",
            "KIND",
            "STATE",
            "SINCE",
            "READINGS/S",
            "LAST",
            "READING",
            "PAYLOADS",
            "DEAD",
            "LETTERS",
            "RECONNECTS",
            "WHERE",
        ]
    )
    assert plant.split() == [
        "plant",
        "mqtt",
        "connected",
        "60",
        "s",
        "1.0",
        "0.5",
        "s",
        "ago",
        "10",
        "0",
        "2",
        "broker:8883",
    ]
    assert line.split() == [
        "line",
        "serial",
        "lost",
        "4",
        "min",
        "1.0",
        "0.5",
        "s",
        "ago",
        "10",
        "2",
        "0",
        "/dev/ttyUSB0",
    ]
    assert problem == "  - is lost: no such port"


def test_one_is_shown_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sources(tmp_path, "line") == 1

    said = capsys.readouterr().out
    for part in (
        "line   serial at /dev/ttyUSB0\n  - is lost: no such port\n",
        "state         lost for 4 min\n",
        "10 payloads = 10 decoded",
        "20 readings = 20 delivered",
        "devices       2 heard, 0 of them silent, 0 missing, 0 forgotten\n",
        "counts        frames 10, checksum_errors 0, connects 1\n",
        "dead letters  2 since the start: 2 undecoded\n",
        "last trouble  2.0 s ago: no such port\n",
        'settings      kind = "serial"\n              port = "socket://me:(not shown)@host:1"\n',
    ):
        assert part in said


def test_as_json_they_are_the_rows_of_the_status_with_their_ledgers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sources(tmp_path, "--json") == 1
    rows = json.loads(capsys.readouterr().out)["sources"]
    assert sources(tmp_path, "plant", "--json") == 0
    one = json.loads(capsys.readouterr().out)

    assert [row["name"] for row in rows] == ["plant", "line"]
    assert {key: value for key, value in rows[0].items() if key != "ledger"} == GOOD
    assert rows[0]["ledger"]["payloads"]["received"] == 10
    assert {key: value for key, value in one.items() if not key.startswith("settings")} == rows[0]
    assert one["settings"]["topics"][1]["decoder"]["kind"] == "json"


def test_no_secret_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in TABLES:
        sources(tmp_path, name)
        sources(tmp_path, name, "--json")

    assert "s3cret" not in capsys.readouterr().out


def test_who_may_not_know_the_settings_is_told_and_sees_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sources(tmp_path, "plant", known=False) == 0
    said = capsys.readouterr().out
    assert "state         connected for 60 s\n" in said
    assert "settings      not understood" in said


def test_a_source_that_is_not_there_and_a_gatewayd_that_is_not_there_are_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sources(tmp_path, "garden") == 2
    assert (
        capsys.readouterr().err == "gatewayctl sources: there is no source 'garden'; there are: plant, line\n"
    )
    assert main.main(["sources", "--socket", str(tmp_path / "nobody")]) == 2
    assert "is it running?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ({"port": "/dev/ttyUSB0"}, "/dev/ttyUSB0"),
        ({"port": "socket://me:s3cret@host:1"}, "socket://me:(not shown)@host:1"),
        ({"broker": "b"}, "b:1883"),
        ({"broker": "b", "tls": {"ca": "x"}}, "b:8883"),
        ({"broker": ["b", "fe80::1"], "port": 1884}, "b:1884, [fe80::1]:1884"),
        ({"file": "rows.csv"}, "rows.csv"),
        ({"count": 3}, ""),
    ],
)
def test_where_a_source_is(table: dict[str, Any], place: str) -> None:
    assert place_of(table) == place
