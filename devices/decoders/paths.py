"""Paths into a JSON document: `ENERGY.Power`, `phase.0.u`, `readings.*`.

A path is one or more steps with dots between them, followed from the top of the payload:

    name       the member of an object that has this name; in double quotes if it holds a dot or a star:
               `"room 1.5".temperature`
    0, 1, ...  an element of an array by its place; of an object the member with this name
    *          every element of an array, or every member of an object

A step that does not fit what is there leads nowhere, which is no error: devices send more than one kind of payload.
"""

import re
from typing import Any, Final

STAR: Final = "*"
STEPS_LIMIT: Final = 16
"""Longest path, in steps: as deep as payloads may be nested."""

Path = tuple[str | None, ...]
"""Names and indices as texts; None stands for `*`."""

_STEP: Final = re.compile(r'(?:"([^"]+)"|([^".*]+)|(\*))(\.|\Z)')
_INDEX: Final = re.compile(r"[0-9]{1,6}")


def parse_path(text: str) -> Path:
    """The steps of a path.

    Raises:
        ValueError: not a path; the text says why, as the end of a sentence.
    """
    steps: list[str | None] = []
    at, more = 0, True
    while more:
        step = _STEP.match(text, at)
        if step is None:
            raise ValueError(
                f"{text!r} is no path at character {at}; allowed: names, indices and `*` with dots between them, "
                'such as `readings.*` or `phase.0.u`, and names with dots in double quotes: `"room 1.5".t`'
            )
        steps.append(None if step[3] else step[1] or step[2])
        at, more = step.end(), step[4] == "."
    if len(steps) > STEPS_LIMIT:
        raise ValueError(f"{text!r} has {len(steps)} steps; allowed: at most {STEPS_LIMIT}")
    return tuple(steps)


def step_into(value: Any, step: str) -> Any:
    """What one step that is not `*` leads to; None if nowhere."""
    if type(value) is dict:
        return value.get(step)
    if type(value) is list and _INDEX.fullmatch(step) and int(step) < len(value):
        return value[int(step)]
    return None


def take(document: Any, path: Path) -> Any:
    """Remove from an object what `path`, which has no `*`, leads to, and return it; None if nowhere.

    An array keeps its element, so that the others keep their places.
    """
    *way, last = path
    for step in way:
        document = step_into(document, step or "")
    if type(document) is dict:
        return document.pop(last, None)
    return step_into(document, last or "")
