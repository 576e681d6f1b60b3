"""docs/logging.md lists every event that the source logs, and none besides: name, urgency, fields."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.repeats import NEVER_LEFT_OUT

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "logging.md").read_text(encoding="utf-8")

LEVELS = {
    "debug": "debug", "info": "info", "warning": "warning",
    "error": "error", "exception": "error", "critical": "critical",
}  # fmt: skip

# Logged in other ways: see gateway.log and gateway.journal.
OTHERS = {"library message", "log events lost"}

# What the journal or `journalctl --unit` reads a meaning of its own into.
RESERVED = {
    "message", "message_id", "priority", "unit", "user_unit", "object_pid", "coredump_unit", "errno", "tid", "pid",
    "code_file", "code_line", "code_func", "syslog_identifier", "syslog_facility", "syslog_pid", "documentation",
}  # fmt: skip


class Call(NamedTuple):
    place: str
    event: str
    level: str
    fields: frozenset[str]
    more: bool  # than is written there, as in **totals


def calls() -> Iterator[Call]:
    for folder in ("gateway", "devices"):
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="_log"), attr=method)):
                        place = f"{path.relative_to(CHECKOUT)}:{node.lineno}"
                        assert method in LEVELS, f"{place}: _log.{method}"
                        first = node.args[0]
                        assert len(node.args) == 1, f"{place}: values are fields, not part of the name"
                        assert isinstance(first, ast.Constant), f"{place}: the name of an event is fixed"
                        fields = frozenset(one.arg for one in node.keywords if one.arg)
                        more = any(one.arg is None for one in node.keywords)
                        yield Call(place, str(first.value), LEVELS[method], fields, more)


class Row(NamedTuple):
    levels: set[str]
    fields: set[str]
    loss: bool


def rows() -> Iterator[tuple[str, Row]]:
    table = r"(?m)^\| `([^`]+)` \| ([a-z, ]+?)( \(each\))? \| ((?:`[a-z_]+`(?:, )?)*|) ?\| (.+) \|$"
    for event, levels, loss, fields, meaning in re.findall(table, PAGE):
        assert meaning.strip(), event
        yield event, Row(set(levels.split(", ")), set(re.findall("[a-z_]+", fields)), bool(loss))


CALLS = list(calls())
ROWS = dict(rows())


def test_every_line_of_the_tables_is_understood_and_no_event_is_listed_twice() -> None:
    events = re.findall(r"(?m)^\| `([^`]+)` \|", PAGE.partition("## Events")[2])

    assert sorted(events) == sorted(ROWS)


def test_every_event_of_the_source_is_explained_and_every_explained_one_is_in_the_source() -> None:
    assert len(CALLS) > 50
    assert {one.event for one in CALLS} | OTHERS == set(ROWS)


def test_urgency_and_fields_are_those_of_the_source() -> None:
    wrong = []
    for event in sorted({one.event for one in CALLS}):
        its = [one for one in CALLS if one.event == event]
        levels, fields = {one.level for one in its}, set().union(*(one.fields for one in its))
        same = fields <= ROWS[event].fields if any(one.more for one in its) else fields == ROWS[event].fields
        if levels != ROWS[event].levels or not same:
            wrong.append(f"{its[0].place}: {event}: {sorted(levels)}, {sorted(fields)}")

    assert not wrong, "\n".join(wrong)


def test_what_is_said_each_time_is_marked() -> None:
    assert {event for event, row in ROWS.items() if row.loss} == set(NEVER_LEFT_OUT)


def test_names_are_short_and_plain() -> None:
    for event in ROWS:
        assert re.fullmatch(r"[a-z0-9][a-z0-9 -]{2,55}", event), event


def test_no_field_is_one_that_the_journal_understands_otherwise_or_that_could_hold_a_secret() -> None:
    for one in CALLS:
        assert not one.fields & RESERVED, one
        assert not any(re.search("passw|secret|token|credential", field) for field in one.fields), one


def test_only_log_events_are_logged() -> None:
    """No print and no logger of another name, which the tables would not see."""
    for folder in ("gateway", "devices"):
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            found = re.findall(r"(\w+)(?:: \w+)? = (?:structlog\.get_logger|logging\.getLogger)\(", text)
            assert set(found) <= {"_log", "root"}, path
