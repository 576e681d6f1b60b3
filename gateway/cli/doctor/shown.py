"""The findings for the eye, and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.cli.doctor.checks import Found
from gateway.cli.doctor.finding import Severity
from gateway.terminal import plain

COLOURS: Final = {
    Severity.PROBLEM: "\x1b[31m",
    Severity.WARNING: "\x1b[33m",
    Severity.NOTE: "\x1b[36m",
    Severity.OK: "\x1b[32m",
}
EXIT_CODES: Final = {Severity.OK: 0, Severity.NOTE: 0, Severity.WARNING: 1, Severity.PROBLEM: 2}
MARGIN: Final = " " * 10


def worst(found: Sequence[Found]) -> Severity:
    """How bad it is."""
    return max((one.finding.severity for one in found), default=Severity.OK)


def lines(found: Sequence[Found], *, colour: bool) -> Iterator[str]:
    """The worst first, each with its fix below it; what is well in one line a group."""
    for severity in (Severity.PROBLEM, Severity.WARNING, Severity.NOTE):
        for group, one in found:
            if one.severity is severity:
                yield f"{_word(severity, colour=colour)} {plain(f'{group}: {one.looked_at}: {one.found}')}"
                if one.fix:
                    yield f"{MARGIN}fix: {plain(one.fix)}"
    groups = dict.fromkeys(group for group, _ in found)
    for group in groups:
        well = [f"{one.looked_at} {one.found}" for its, one in found if its == group and not one.severity]
        if well:
            yield f"{_word(Severity.OK, colour=colour)} {plain(f'{group}: ' + '; '.join(well))}"
    counts = [
        (sum(one.finding.severity is s for one in found), s.name.lower()) for s in reversed(Severity) if s
    ]
    yield ""
    yield ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts)


def as_json(found: Sequence[Found], took: float) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "worst": worst(found).name.lower(),
        "took_s": round(took, 2),
        "findings": [
            {"group": group, **one._asdict(), "severity": one.severity.name.lower()} for group, one in found
        ],
    }


def _word(severity: Severity, *, colour: bool) -> str:
    word = f"{severity.name.lower():<9}"
    return f"{COLOURS[severity]}{word}\x1b[0m" if colour else word
