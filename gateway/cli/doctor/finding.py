"""What a check says."""

import enum
from typing import NamedTuple


class Severity(enum.IntEnum):
    """How bad it is. The exit code of doctor follows the worst."""

    OK = 0
    NOTE = 1
    WARNING = 2
    PROBLEM = 3


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        severity: of it.
        name: of this kind of finding, fixed, as listed in docs/doctor.md; of what is well, empty.
        looked_at: what, in a few words.
        found: one sentence with its figures; of what is well, a few words.
        fix: the command or the key to change; empty: there is nothing to do.
    """

    severity: Severity
    name: str
    looked_at: str
    found: str
    fix: str = ""


def ok(looked_at: str, found: str) -> Finding:
    """It is well."""
    return Finding(Severity.OK, "", looked_at, found)


def note(name: str, looked_at: str, found: str, fix: str = "") -> Finding:
    """Good to know: what could not be looked at, or is a matter of taste."""
    return Finding(Severity.NOTE, name, looked_at, found, fix)


def warning(name: str, looked_at: str, found: str, fix: str) -> Finding:
    """It works, and will not always."""
    return Finding(Severity.WARNING, name, looked_at, found, fix)


def problem(name: str, looked_at: str, found: str, fix: str) -> Finding:
    """Something does not work, or loses readings."""
    return Finding(Severity.PROBLEM, name, looked_at, found, fix)
