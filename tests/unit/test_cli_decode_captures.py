"""gatewayctl decode on captures: what comes from the header, what from the options, and what damage does."""

import io
import json
import sys
import tracemalloc
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import SettingError
from devices.source import Piece
from gateway.capture import READING_SETTINGS, Header, encode, header
from gateway.cli.main import main
from gateway.cli.trial import find_trial
from gateway.testing import RecordingIntake

SECOND = 1_000_000_000
CSV = {"kind": "csv", "columns": ["t"]}
SERIAL = {"kind": "serial", "port": "/dev/ttyS0", "decoder": CSV, "device": "b7"}
MQTT = {
    "kind": "mqtt",
    "broker": "here",
    "topics": ["plant/{device}/{sensor}", {"pattern": "raw", "decoder": "scalar", "sensor": "s"}],
}


def stream(table: dict[str, Any], *pieces: Piece) -> bytes:
    return header("pi-7", "one", table, SECOND) + b"".join(map(encode, pieces))


LINES = stream(
    SERIAL, Piece(2 * SECOND, "opened"), Piece(3 * SECOND, data=b"1\n2\n"), Piece(4 * SECOND, data=b"3\n")
)
MESSAGES = stream(
    MQTT, Piece(2 * SECOND, data=b"[1, 2]", topic="plant/b7/t"), Piece(3 * SECOND, data=b"5 W", topic="raw")
)


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    found = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=found))
    return found


def decode(stdin: io.BytesIO, data: bytes, *words: str) -> int:
    stdin.seek(0)
    stdin.truncate()
    stdin.write(data)
    stdin.seek(0)
    return main(["decode", *words])


def test_a_capture_says_itself_how_it_is_read_and_when(
    stdin: io.BytesIO, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decode(stdin, LINES) == 0

    assert capsys.readouterr().out == (
        "b7\tt\t3000000000\t1\t\nb7\tt\t3000000000\t2\t\nb7\tt\t4000000000\t3\t\n"
    )


def test_options_say_otherwise(stdin: io.BytesIO, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--decoder", '{ kind = "csv", columns = ["h"] }', "--device", "b8")
    assert decode(stdin, LINES, *words) == 0
    assert capsys.readouterr().out.split("\t")[:2] == ["b8", "h"]

    assert decode(stdin, LINES, "--framing", '{ kind = "delimiter", delimiter = "32" }') == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "b7\tt\t3000000000\t1\t"
    assert out[1].split("\t")[-1] == "\\n3\\n"


def test_a_configuration_is_tried_on_the_capture_of_its_source(
    tmp_path: Path, stdin: io.BytesIO, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        '[sources.one]\nkind = "serial"\nport = "/dev/ttyS1"\ndecoder = "scalar"\nsensor = "h"\nfallback = "simulator"\n'
        '[sources.plant]\nkind = "mqtt"\nbroker = "x"\ntopics = ["{device}/+/{sensor}"]\ndecoder = "scalar"\n'
    )

    assert decode(stdin, LINES, "--config", str(config)) == 0
    assert capsys.readouterr().out.split("\t")[:2] == ["one", "h"]
    message = stream(MQTT, Piece(1, data=b"7", topic="b7/x/t"))
    assert decode(stdin, message, "--config", str(config), "--source", "plant") == 0
    assert capsys.readouterr().out.split("\t")[:4] == ["b7", "t", "1", "7"]
    assert decode(stdin, message, "--config", str(config)) == 2
    assert "is of kind serial, and this is a capture of kind mqtt" in capsys.readouterr().err


def test_messages_go_by_topic(stdin: io.BytesIO, capsys: pytest.CaptureFixture[str]) -> None:
    assert decode(stdin, MESSAGES) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], line[1], line[3], line[4]) for line in lines] == [
        ("b7", "t.0", "1", ""),
        ("b7", "t.1", "2", ""),
        ("one", "s", "5", "W"),
    ]

    assert decode(stdin, MESSAGES, "--decoder", "json") == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("\t3\t5 W"), "its own decoder was replaced too"


@pytest.mark.parametrize(
    ("data", "words", "problem"),
    [
        (MESSAGES, ["--framing", "line"], "--framing: has no meaning for kind mqtt"),
        (MESSAGES, ["--sensor", "s"], "--sensor: has no meaning for kind mqtt"),
        (LINES, ["--decoder", "jason"], "--decoder.kind: 'jason' is not a decoder"),
        (LINES, ["--framing", "lines"], "--framing.kind: 'lines' is not a framing"),
        (
            LINES.replace(b'"capture":1', b'"capture":2'),
            [],
            "a capture of version 2: this gatewayctl reads version 1",
        ),
        (
            LINES.replace(b'"source":"one"', b'"source":"\\u001b[2J"'),
            [],
            "the header of this capture names no source: '\\x1b[2J'",
        ),
        (LINES.replace(b'"serial"', b'"cereal"'), [], "sources.one.kind: 'cereal' is not a kind of source"),
        (stream({"kind": "simulator"}), [], "there are no raw bytes of a source of kind simulator"),
        (LINES.replace(b'"csv"', b'"cvs"'), [], "sources.one.decoder.kind: 'cvs' is not a decoder"),
    ],
)
def test_what_cannot_be_tried_is_refused(
    stdin: io.BytesIO, capsys: pytest.CaptureFixture[str], data: bytes, words: list[str], problem: str
) -> None:
    assert decode(stdin, data, *words) == 2
    assert problem in capsys.readouterr().err


def test_damage_and_gaps_are_reported_and_the_frames_around_them_are_not_joined(
    stdin: io.BytesIO, capsys: pytest.CaptureFixture[str]
) -> None:
    data = stream(
        {**SERIAL, "decoder": "keyvalue"},
        Piece(1, "opened"),
        Piece(2, data=b"t=1\nt=2"),
        Piece(3, "gap", joined=True, missing=77),
        Piece(4, data=b"5\nt=3\nt=4"),
    )
    after = encode(Piece(5, data=b"0\nt=5\n")) + encode(Piece(6, data=b"t=6\n"))
    torn = encode(Piece(7, data=b"t=7\n"))[:-5]

    assert decode(stdin, data + b"}{\n\n" + after + torn, "--json") == 1

    out, err = capsys.readouterr()
    found = [json.loads(line) for line in out.splitlines()]
    assert [one.get("value", one.get("data")) for one in found] == [1, "t=2", "5", 3, "t=4", "0", 5, 6]
    assert [one["reject"] for one in found if "reject" in one] == [
        "cut off in mid-frame: what followed is missing from the capture",
        "joined in mid-frame",
    ] * 2
    assert err.splitlines()[:3] == [
        "77 bytes are missing: the capture could not keep up",
        "lines 6 to 7 are not as a capture has them; skipped",
        "line 10 is torn: whoever wrote the capture ended in the middle of it; skipped",
    ]


def test_damage_alone_is_no_success(stdin: io.BytesIO) -> None:
    assert decode(stdin, LINES + b"}{\n") == 1
    assert decode(stdin, LINES[:-4]) == 1


@pytest.mark.parametrize(
    "start", [b'{"t": 1}\n', b'{"capture":1}\n', b'{"capture": 7, "t": 1}\n', LINES[:40] + b"\n"]
)
def test_raw_bytes_that_look_like_a_capture_are_raw_bytes(
    stdin: io.BytesIO, capsys: pytest.CaptureFixture[str], start: bytes
) -> None:
    decode(stdin, start + b'{"t": 2}\n', "--decoder", "json", "--json")

    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["value"] == 2
    assert err.startswith("2 payloads")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["line", "/dev/x", "a/{device}"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "pattern", "x"]), inner)
    ),
    max_leaves=4,
)


@given(
    kind=st.sampled_from(["serial", "mqtt", "simulator", "x"]),
    source=st.text(max_size=5),
    settings=st.dictionaries(st.sampled_from(READING_SETTINGS), values),
    decoder=st.sampled_from([None, "scalar"]),
    framing=st.sampled_from([None, "line"]),
)
def test_any_header_is_tried_or_refused_with_a_reason(
    kind: str, source: str, settings: dict[str, Any], decoder: str | None, framing: str | None
) -> None:
    options = Namespace(decoder=decoder, framing=framing, config=None, source=None, device="", sensor="")
    try:
        trial = find_trial(options, Header(1, "pi-7", source, kind, 1, settings))
    except SettingError:
        return
    for piece in (Piece(1, "opened"), Piece(2, data=b"t=1\n", topic="a/b"), Piece(3, "lost")):
        trial.source.replay(piece, RecordingIntake())


class Endless:
    """A pipe through which `data` comes again and again, so many bytes in all."""

    def __init__(self, first: bytes, data: bytes, size: int) -> None:
        self._first = first
        self._data = data
        self._left = size

    def read1(self, size: int) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        self._left -= size
        return self._data[:size] if self._left > 0 else b""


@pytest.mark.parametrize(
    ("first", "line"),
    [
        (stream(SERIAL), encode(Piece(SECOND, data=(b"# nothing".ljust(1000) + b"\n") * 15))),
        (stream(SERIAL), encode(Piece(SECOND, data=b"1" * 16_384))),
        (stream(MQTT), encode(Piece(SECOND, data=b"\xff" * 16_384, topic="plant/a/b"))),
        (stream(MQTT), b"{" * 65_536),
    ],
    ids=["lines", "a frame that never ends", "messages", "a line that never ends"],
)
def test_a_capture_of_any_length_takes_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, first: bytes, line: bytes
) -> None:
    monkeypatch.setattr(
        sys, "stdin", SimpleNamespace(buffer=Endless(first, line * (65_536 // len(line)), 30_000_000))
    )
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=len, flush=lambda: None))

    tracemalloc.start()
    assert main(["decode"]) in {0, 1}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 6_000_000
