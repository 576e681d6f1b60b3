"""`gatewayctl tail`: what the daemon sends, to whom, how much of it; and what the command makes of it."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import pytest
from answering import Answering, answering
from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_until

from devices.reading import TEXT_LIMIT, Quality, Reading, type_of_value
from gateway.cli import main
from gateway.cli.tail import Columns, moment
from gateway.control_server import StreamVerb
from gateway.tail_server import BUFFER, MOST, Tail, Tails
from gateway.wire import decode_reading, encode_reading

TIME = 1_769_860_800_120_000_000


def reading(
    device: str = "boiler-7",
    sensor: str = "temperature",
    value: type_of_value = 21.5,
    *,
    source: str = "plant",
    unit: str = "°C",
    quality: Quality = Quality.GOOD,
) -> Reading:
    return Reading(device, sensor, value, TIME, source, TIME + 1, unit, quality)


def taken(tail: Tail) -> list[dict[str, Any]]:
    """All that waits."""
    lines: list[dict[str, Any]] = []
    while data := tail.take():
        lines += map(json.loads, data.splitlines())
    return lines


MIXED = [
    reading(),
    reading("boiler-8"),
    reading(sensor="humidity"),
    reading(source="yard"),
    reading("pump", "state", "on", source="yard"),
]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (("", "", ""), [0, 1, 2, 3, 4]),
        (("plant", "", ""), [0, 1, 2]),
        (("", "boiler-*", ""), [0, 1, 2, 3]),
        (("", "*-[8]", ""), [1]),
        (("", "", "temp*"), [0, 1, 3]),
        (("yard", "pump", "state"), [4]),
        (("plant", "Boiler-7", ""), []),
        (("", "boiler", ""), []),
    ],
)
def test_what_is_wanted_is_told_in_order_and_nothing_else(
    wanted: tuple[str, str, str], places: list[int]
) -> None:
    tail = Tail(*wanted)
    tail.heard(MIXED)

    found = [(one["source"], one["device"], one["sensor"]) for one in taken(tail)]
    assert found == [(MIXED[n].source, MIXED[n].device, MIXED[n].sensor) for n in places]


def test_a_reading_has_the_keys_that_it_will_have_in_kafka() -> None:
    one = reading(quality=Quality.SIMULATED | Quality.CLOCK_UNSET)
    tail = Tail("", "", "")
    tail.heard([one])

    in_kafka = json.loads(encode_reading(one, "pi-7", "spool", 1))
    assert decode_reading(json.dumps(in_kafka).encode()).flags == ("simulated", "clock_unset")
    assert taken(tail) == [
        {key: in_kafka[key] for key in in_kafka if key not in {"v", "gateway", "spool", "seq"}}
    ]


@given(st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=40))
def test_who_is_slow_gets_the_first_ones_and_is_told_how_many_are_left_out(
    steps: list[tuple[int, bool]],
) -> None:
    tail, count = Tail("", "", ""), 0
    found: list[dict[str, Any]] = []
    for size, takes in steps:
        tail.heard([reading(value="x" * 1000 + str(count + place)) for place in range(size)])
        count += size
        assert tail._lines.size <= BUFFER + 6 * TEXT_LIMIT
        if takes:
            found += map(json.loads, tail.take().splitlines())
    found += taken(tail)

    expected = 0
    for one in found:
        if "left_out" in one:
            expected += one["left_out"]
        else:
            assert one["value"].strip("x") == str(expected), "what is told stands where it was left out"
            expected += 1
    assert expected == count


@pytest.fixture
def tails() -> Tails:
    return Tails(lambda: ["plant", "yard"])


@pytest.fixture
def gatewayd(tails: Tails, tmp_path: Path) -> Iterator[Answering]:
    with answering(tmp_path / "sock", {"tail": StreamVerb("members", tails.serve)}) as here:
        yield here


def say(gatewayd: Answering, tails: Tails, readings: Sequence[Reading]) -> None:
    """A batch comes in."""

    async def heard() -> None:
        tails.heard(readings)

    gatewayd.do(heard())


class Command:
    """`gatewayctl tail` as a process, which listens already."""

    def __init__(
        self, gatewayd: Answering, tails: Tails, *words: str, stdout: TextIO | int = subprocess.PIPE
    ) -> None:
        before = len(tails._tails)
        self.process = subprocess.Popen(
            [Path(sys.executable).parent / "gatewayctl", "tail", "--socket", gatewayd.path, *words],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: len(tails._tails) > before or self.process.poll() is not None, "it to listen")

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def end(self) -> tuple[int, str, str]:
        """Exit code, and what else it said."""
        said, complained = self.process.communicate(timeout=20)
        return self.process.returncode, said, complained


def test_a_reading_is_a_line_at_once_and_ctrl_c_is_the_way_to_end_it(
    gatewayd: Answering, tails: Tails
) -> None:
    command = Command(gatewayd, tails)
    say(gatewayd, tails, [reading(quality=Quality.SIMULATED)])
    line = command.line()
    say(gatewayd, tails, [reading("b", value=True, unit="")])
    second = command.line()
    command.process.send_signal(signal.SIGINT)

    assert command.end() == (0, "", "")
    assert re.fullmatch(
        r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.120  plant  boiler-7  temperature  21\.5 °C \(simulated\)\n",
        line,
    )
    assert second.endswith("  plant  b         temperature  true\n")
    wait_until(lambda: not tails._tails, "nobody to listen any more")


def test_filters_and_limit_and_json(gatewayd: Answering, tails: Tails) -> None:
    command = Command(
        gatewayd, tails, "plant", "--device", "boiler-*", "--sensor", "temp*", "-n", "2", "--json"
    )
    say(gatewayd, tails, [*MIXED, *MIXED])

    code, said, complained = command.end()
    assert (code, complained) == (0, "")
    assert [json.loads(line)["device"] for line in said.splitlines()] == ["boiler-7", "boiler-8"]
    assert json.loads(said.splitlines()[0])["unit"] == "°C"


def test_after_the_time_it_was_given_it_ends(gatewayd: Answering, tails: Tails) -> None:
    command = Command(gatewayd, tails, "--for", "0.1s")
    assert command.end() == (0, "", "")


def test_a_gatewayd_that_ends_before_is_said(gatewayd: Answering, tails: Tails) -> None:
    command = Command(gatewayd, tails)
    say(gatewayd, tails, [reading()])
    assert command.line()

    async def end() -> None:
        for one in asyncio.all_tasks():
            if one.get_name() == "control connection":
                one.cancel()

    gatewayd.do(end())
    assert command.end() == (1, "", "gatewayctl tail: gatewayd ended\n")


def test_what_is_left_out_is_said_apart_from_the_readings(
    gatewayd: Answering, tails: Tails, tmp_path: Path
) -> None:
    shown = tmp_path / "shown"
    with shown.open("w") as file:
        command = Command(gatewayd, tails, "--json", stdout=file)
        command.process.send_signal(signal.SIGSTOP)
        say(gatewayd, tails, [reading(value="x" * 1000)] * 4000)
        command.process.send_signal(signal.SIGCONT)
        wait_until(
            lambda: not any(one._lines.size or one._left_out for one in tails._tails), "all to be taken"
        )
        say(gatewayd, tails, [reading("last")])
        wait_until(lambda: '"last"' in shown.read_text(), "the last one")
        command.process.send_signal(signal.SIGINT)
        code, _, complained = command.end()

    left_out = re.fullmatch(
        r"gatewayctl tail: (\d+) readings are left out here: they came too fast\n", complained
    )
    assert code == 0
    assert left_out
    assert len(shown.read_text().splitlines()) == 4000 - int(left_out[1]) + 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["garden"], "there is no source 'garden'; there are: plant, yard"),
        (["--limit", "0"], "is no number of readings"),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str], reason: str, gatewayd: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main.main(["tail", *words, "--socket", str(gatewayd.path)])
    except SystemExit as end:
        code = int(end.code or 0)

    assert code == 2
    assert reason in capsys.readouterr().err


def test_nobody_there_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["tail", "--socket", str(tmp_path / "nobody")]) == 2
    assert "is it running?" in capsys.readouterr().err


def test_no_more_listen_than_the_intake_can_bear(gatewayd: Answering, tails: Tails) -> None:
    commands = [Command(gatewayd, tails) for _ in range(MOST)]
    refused = Command(gatewayd, tails)
    for one in commands:
        one.process.terminate()
        one.end()

    assert refused.end() == (2, "", "gatewayctl tail: 4 tails run already; end one of them first\n")


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=40), st.text(max_size=5))
def test_nothing_that_a_terminal_would_obey_gets_there(
    device: str, sensor: str, value: str, unit: str
) -> None:
    shown = {"source": "s", "device": device, "sensor": sensor, "value": value, "unit": unit, "time": TIME}
    line = Columns()(shown)

    assert line.endswith("\n")
    assert line[:-1].isprintable()


def test_a_text_is_no_number_and_a_time_may_be_any() -> None:
    show = Columns()
    times = [0, -(2**63), 2**63 - 1, TIME]
    lines = [
        show({"source": "s", "device": "d", "sensor": "t", "value": "21.5", "time": time}) for time in times
    ]

    assert all(line.endswith('  s  d  t  "21.5"\n') for line in lines)
    assert moment(TIME).endswith(".120")


def test_nobody_who_listens_costs_one_look_a_batch() -> None:
    class Untouchable(Sequence[Reading]):
        def __getitem__(self, place: Any) -> Any:
            raise AssertionError

        def __len__(self) -> int:
            raise AssertionError

    Tails(list).heard(Untouchable())


def test_the_quick_path_imports_nothing_slow() -> None:
    code = "import sys, gateway.cli.main, gateway.cli.tail, gateway.cli.sources, gateway.cli.watch; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert not {"asyncio", "msgspec", "structlog", "confluent_kafka", "paho", "rich"} & set(loaded.split())
