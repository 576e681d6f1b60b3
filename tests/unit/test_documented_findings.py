"""docs/doctor.md lists every finding that doctor can come to, and none besides, with how bad it is."""

import ast
import re
from collections import defaultdict
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "doctor.md").read_text(encoding="utf-8")
SEVERITIES = ("note", "warning", "problem")


def of_the_source() -> dict[str, set[str]]:
    """By name, the severities; `make` is a warning or a problem, as the daemon has it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((CHECKOUT / "gateway" / "cli" / "doctor").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=made), args=[first, *_]) if made in {*SEVERITIES, "make"}:
                    assert isinstance(first, ast.Constant), f"{path.name}:{node.lineno}: the name is fixed"
                    found[str(first.value)] |= {"warning", "problem"} if made == "make" else {made}
    return found


SOURCE = of_the_source()


def of_the_page() -> dict[str, set[str]]:
    rows = re.findall(r"(?m)^\| `([^`]+)` \| ([a-z, ]+) \| (.+) \| (.+) \|$", PAGE)
    for name, _, means, fix in rows:
        assert means.strip(), name
        assert fix.strip(), name
    assert len({name for name, *_ in rows}) == len(rows), "a finding is listed twice"
    return {name: set(severities.split(", ")) for name, severities, *_ in rows}


def test_every_finding_is_explained_and_every_explained_one_is_in_the_source() -> None:
    assert len(SOURCE) > 60
    assert of_the_page() == SOURCE


def test_names_are_short_and_plain() -> None:
    for name in SOURCE:
        assert re.fullmatch(r"[a-z][a-z' -]{2,35}", name), name
