import io
import json
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.cli.main import main

CSV = '{ kind = "csv", columns = ["t", "h"], units = { t = "°C" } }'


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
    return stream


def test_readings_and_rejects_are_printed_in_their_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"time=1769860800 t=21.5C\n# comment\nt=2\x1b[2J\xff\nstate=open\n")

    assert main(["decode", "--decoder", "keyvalue", "--device", "b7", str(file)]) == 1

    out, err = capsys.readouterr()
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0] == ["b7", "t", "1769860800000000000", "21.5", "C"]
    assert lines[1][0].startswith("! not UTF-8")
    assert lines[1][1:] == ["8", "t=2\\x1b[2J\\xff"]
    assert (lines[2][1], lines[2][3:]) == ("state", ["open", ""])
    assert err == "4 payloads = 2 decoded + 1 ignored + 1 rejected; 2 readings\n"


def test_json_is_an_object_a_line_and_a_partial_frame_is_a_reject(
    stdin: io.BytesIO, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin.write(b"21.5,40\n21.")
    stdin.seek(0)

    assert main(["decode", "--decoder", CSV, "--json"]) == 1

    first, second, reject = map(json.loads, capsys.readouterr().out.splitlines())
    assert first.pop("time") == second.pop("time")
    assert first == {"device": "device", "sensor": "t", "value": 21.5, "unit": "°C"}
    assert second == {"device": "device", "sensor": "h", "value": 40, "unit": ""}
    assert reject == {"reject": "cut off in mid-frame: the input ended", "size": 3, "data": "21."}


def test_a_source_of_a_configuration_is_tried_as_it_is_set(
    tmp_path: Path, stdin: io.BytesIO, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        '[sources.line-1]\nkind = "serial"\nport = "/dev/null"\nsensor = "t"\ndecoder = "scalar"\n'
        'fallback = "simulator"\n[sources.sim]\nkind = "simulator"\n'
    )
    stdin.write(b"21.5 K\n")
    stdin.seek(0)

    assert main(["decode", "--config", str(config), "--source", "line-1"]) == 0
    out, err = capsys.readouterr()
    assert out.split("\t")[:2] == ["line-1", "t"]
    assert out.endswith("\t21.5\tK\n")
    assert "1 decoded" in err

    assert main(["decode", "--config", str(config), "--source", "sim"]) == 2
    assert "has no decoder" in capsys.readouterr().err
    assert main(["decode", "--config", str(config), "--source", "x"]) == 2
    assert "allowed: line-1, sim" in capsys.readouterr().err


def test_a_framing_is_tried_with_the_decoder(stdin: io.BytesIO, capsys: pytest.CaptureFixture[str]) -> None:
    stdin.write(b"$t=21.5*51\n$t=21.5*00\n")
    stdin.seek(0)
    framing = '{ kind = "line", checksum = "nmea" }'

    assert main(["decode", "--decoder", "keyvalue", "--framing", framing]) == 1

    good, bad = capsys.readouterr().out.splitlines()
    assert good.split("\t")[3] == "21.5"
    assert bad.startswith("! checksum")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "this is no capture: give either --decoder, or --config and --source"),
        (["--decoder", "json", "--config", "x"], "either --decoder, or --config"),
        (["--decoder", "json", "--source", "x"], "--source: goes with --config"),
        (["--config", "x"], "this is no capture: give either --decoder, or --config and --source"),
        (["--decoder", "jason"], "--decoder.kind: 'jason' is not a decoder; allowed: json"),
        (["--decoder", "json", "--framing", "lines"], "--framing.kind: 'lines' is not a framing"),
        (["--decoder", "{ kind = "], "--decoder: is no TOML table"),
        (["--decoder", '{ kind = "csv", colums = ["t"] }'], "did you mean `columns`"),
        (["--decoder", "json", "--device", " "], "--device: ' ' is no name"),
        (["--decoder", "json", "/nowhere"], "/nowhere: cannot be read: No such file"),
    ],
)
@pytest.mark.usefixtures("stdin")
def test_what_cannot_be_tried_is_refused_with_the_reason(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decode", *words]) == 2
    assert message in capsys.readouterr().err


def test_input_of_any_length_takes_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "long"
    with file.open("wb") as stream:
        stream.write(b"t=1\n" * 10_000)
        stream.write(b"x" * 20_000_000)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=len, flush=lambda: None))

    tracemalloc.start()
    assert main(["decode", "--decoder", "keyvalue", str(file)]) == 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 15_000_000


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ('"5"', '"5"'),
        ("5", "5"),
        ('"true"', '"true"'),
        ("true", "true"),
        ('"NaN"', '"NaN"'),
        ('""', '""'),
        ('"-"', '"-"'),
        ('"0x10"', '"0x10"'),
        ('"1_000"', '"1_000"'),
        ('" a"', '" a"'),
        ('"½ auf"', '"½ auf"'),
        ('"tab\\t"', '"tab\\t"'),
        ('"offen"', "offen"),
        ('"élevé"', "élevé"),
    ],
)
def test_a_text_that_might_be_taken_for_something_else_is_in_quotes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str, shown: str
) -> None:
    file = tmp_path / "lines"
    file.write_text(f'{{"a": {given}}}\n', encoding="utf-8")

    assert main(["decode", "--decoder", "json", str(file)]) == 0
    assert capsys.readouterr().out.split("\t")[3] == shown
