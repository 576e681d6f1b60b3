"""The text format of Prometheus, version 0.0.4: names, helps and numbers in, a page out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


class Family(NamedTuple):
    """All samples of one name.

    Attributes:
        name: with the unit, and `_total` for a counter.
        kind: a counter only rises, and begins at 0 with the process.
        about: what it counts, for people.
        samples: labels and number of each; a text that is no label is no number.
    """

    name: str
    kind: Literal["counter", "gauge"]
    about: str
    samples: Sequence[tuple[Labels, float]]


def one(name: str, about: str, value: float | None, labels: Labels | None = None) -> Family:
    """A gauge without labels, or with always the same. None: not known, so there is no sample."""
    return Family(name, "gauge", about, [] if value is None else [(labels or {}, value)])


def states(labels: Labels, now: str, every: Iterable[str]) -> list[tuple[Labels, float]]:
    """A state, as samples: 1 for the one that it is `now`, and 0 for all others."""
    return [({**labels, "state": state}, float(state == now)) for state in every]


def page(families: Iterable[Family]) -> str:
    """What Prometheus reads. A family without samples is left out."""
    lines: list[str] = []
    for name, kind, about, samples in families:
        if not samples:
            continue
        lines.append(f"# HELP {name} {_escaped(about)}")
        lines.append(f"# TYPE {name} {kind}")
        lines += [f"{name}{_braces(labels)} {_number(value)}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def _number(value: float) -> str:
    if value != value:  # noqa: PLR0124 - NaN
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if isinstance(value, int) or value.is_integer() else repr(value)
