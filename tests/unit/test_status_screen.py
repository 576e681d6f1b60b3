"""`gatewayctl status` on one screen, whatever the number of sources and the size of the terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reported import balance, report, source

from gateway.cli import status
from gateway.cli.fitting import Part, Room, fit

PAGE = Room(80, 23)


def shown(room: Room | None = PAGE, count: int = 40) -> list[str]:
    sources = [source(f"line-{number}") for number in range(count)]
    sources[30] |= source("line-30", state="lost")
    sources[35] |= source("line-35", silent=True, problems=["is connected but silent"])
    sources[36]["counts"]["checksum_errors"] = 3
    found = report(*sources, reasons=["source line-30 is lost: no such port", "source line-35 is silent"])
    found["ledger"]["sources"]["line-39"] = balance(balanced=False)
    return status.lines(found, colour=False, room=room)


def test_the_worst_come_first_and_the_rest_is_counted() -> None:
    lines = shown()

    rows = [line.split()[0] for line in lines if re.match(r"line-\d+ ", line)]
    assert rows[:3] == ["line-30", "line-35", "line-0"]
    assert f"and {40 - len(rows)} more healthy" in lines
    ledger = [line for line in lines if re.match(r"  line-\d+: .* payloads", line)]
    assert ledger[0].startswith("  line-39: ")
    assert f"  and {40 - len(ledger)} more, which balance" in lines
    assert "  line-36: checksum errors 3" in lines


def test_what_is_left_out_and_not_healthy_is_said() -> None:
    sources = [source(f"line-{number}", state="lost") for number in range(40)]
    lines = status.lines(report(*sources), colour=False, room=PAGE)

    [more] = [line for line in lines if line.endswith("of them not healthy")]
    left = int(more.split()[1])
    assert more == f"and {left} more, {left} of them not healthy"


def test_all_parts_of_it_are_on_one_screen() -> None:
    lines = shown()

    assert sum(map(PAGE.height, lines)) <= PAGE.lines
    words = [line.split()[0] for line in lines if line]
    assert words[0] == "degraded"
    assert {"SOURCE", "spool", "kafka", "clock", "QUALITY", "LEDGER"} <= set(words)
    assert "  - source line-30 is lost: no such port" in lines


def test_where_there_is_room_or_no_terminal_all_of_it_is_shown() -> None:
    everything = shown(None)

    assert shown(Room(200, 500)) == everything
    assert sum(line.startswith("line-") for line in everything) == 40
    assert not [line for line in everything if "more" in line.split()[:4] and "lasts" not in line]


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (20, 5), (1, 1), (200, 2), (40, 60)])
def test_lines_that_are_cut_fit_any_window(columns: int, lines: int) -> None:
    found = shown(Room(columns, lines, cut=True))

    assert len(found) <= lines
    assert all(len(line) <= columns for line in found)


@given(
    parts=st.lists(
        st.tuples(st.integers(1, 3), st.lists(st.integers(0, 30), max_size=30)), min_size=1, max_size=6
    ),
    columns=st.integers(5, 20),
    spare=st.integers(0, 60),
)
def test_nothing_is_taller_than_its_room_if_that_has_three_lines_a_part(
    parts: list[tuple[int, list[int]]], columns: int, spare: int
) -> None:
    made = [Part(["h"] * heads, ["r" * size for size in sizes]) for heads, sizes in parts]
    tallest = max([1, *(-(-size // columns) for _, sizes in parts for size in sizes)])
    room = Room(columns, sum(heads for heads, _ in parts) + len(parts) * (tallest + 2) + spare)
    found = fit(made, room)

    more = [int(line.split()[1]) for line in found if line.startswith("and")]
    rows = sum(line.strip("r") == "" for line in found)
    assert sum(map(room.height, found)) <= room.lines + len(more) * (room.height("and 10 more") - 1)
    assert rows + sum(more) == sum(len(sizes) for _, sizes in parts)


def test_nothing_that_a_terminal_would_obey_gets_there() -> None:
    evil = "\x1b]0;you\x07\x9b31m\u202e"
    found = report(source("line", state="lost", trouble=evil), reasons=[f"source line is lost: {evil}"])
    found["kafka"]["bootstrap_servers"] = evil

    for room in (None, PAGE):
        assert all(line.isprintable() for line in status.lines(found, colour=False, room=room))


def test_only_the_health_is_coloured() -> None:
    found = report(source("line"))
    plain, coloured = (status.lines(found, colour=colour) for colour in (False, True))

    assert coloured[0] == f"\x1b[32mhealthy\x1b[0m{plain[0].removeprefix('healthy')}"
    assert coloured[1:] == plain[1:]
